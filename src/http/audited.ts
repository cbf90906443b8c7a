import type { Context } from '../context.ts';
import type { Store } from '../db/store.ts';
import { type Actor, type Change, noteChange, recordChange } from '../history/audit.ts';
import type { AuditSubject } from '../history/auditSubjects.ts';
import { KEY_ID, SESSION_ID } from './callers.ts';

/** What a route notes of the change that it makes. */
export interface Audit<Query, Body> {
  /** `endpoint.update` */
  action: string;
  /** What kind of thing it changes. */
  subject?: AuditSubject;
  /** Which one; left out: that of `:id` in the path, else what the change makes. */
  target?(params: Record<string, string>, request: Request): string;
  /** The person it is about, as a tie (`email:…`) or `contact:…`: only a keyed hash is kept. */
  person?(query: Query, body: Body, params: Record<string, string>): string | null;
  /** What else tells of it: fields chosen one by one, no secrets, no addresses. */
  detail?(query: Query, body: Body): Record<string, unknown>;
  /** Not every call changes something. */
  when?(query: Query): boolean;
}

interface Called<Query, Body> {
  params: Record<string, string>;
  query: Query;
  body: Body;
  request: Request;
}

function identifyActor({ headers }: Request): Actor {
  const session = headers.get(SESSION_ID);
  if (session) return { kind: 'session', id: session };
  return { kind: 'key', id: headers.get(KEY_ID) || null };
}

/** A context whose first write of what the route changes notes the change too, in the same transaction. */
export function noteChanges<Query, Body>(
  ctx: Context,
  { action, subject, target, person, detail, when }: Audit<Query, Body>,
  { params, query, body, request }: Called<Query, Body>,
): Context {
  if (when && !when(query)) return ctx;
  const change: Change = {
    ...{ actor: identifyActor(request), action, subject: subject ?? null },
    target: target ? target(params, request) : (params.id ?? null),
    person: person?.(query, body, params) ?? null,
    detail: detail?.(query, body) ?? null,
  };
  const note = { isDone: false };
  return { ...ctx, store: makeNoting(ctx, change, note), noteChange: tx => noteChange(tx, change, ctx.now()) };
}

function makeNoting({ store, now }: Context, change: Change, note: { isDone: boolean }): Store {
  return {
    kind: store.kind,
    lanes: store.lanes,
    read: fn => store.read(fn),
    writePeople: (lane, fn, patient) => store.writePeople(lane, fn, patient),
    version: () => store.version(),
    close: () => store.close(),
    async write(fn) {
      if (note.isDone) return store.write(fn);
      let isNoted = false;
      const result = await store.write(async tx => {
        const done = await recordChange(tx, change, now(), () => fn(tx));
        isNoted = done.isNoted;
        return done.result;
      });
      note.isDone = isNoted;
      return result;
    },
  };
}
