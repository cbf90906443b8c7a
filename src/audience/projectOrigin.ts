import { compareTexts, type K } from './registers.ts';
import { type Criterion, compareBy } from './rules.ts';
import type { Trace } from './trace.ts';
import { compareFirst } from './unions.ts';
import { clampKey, type View } from './views.ts';

/** Who was forgotten is known since a later fact, and last where there is none. */
const compareSince = (a: View, b: View) =>
  compareTexts(a.facts[0]?.k ?? '~', b.facts[0]?.k ?? '~') ||
  compareTexts(a.first, b.first) ||
  compareTexts(a.id, b.id);

/** What the API set, else the earliest auth id, else Polar's external id. That of who is gone shows only while nobody else is here. */
export function findUserId(views: View[], trace: Trace | null): string | null {
  const counting = views.filter(view => !view.withheld);
  const newest = (of: View[], skip: (string | null)[] = []): string | null => {
    let top: { k: K; v: string } | null = null;
    for (const view of of)
      for (const { userId, k } of view.facts)
        if (userId !== undefined && !skip.includes(userId) && (!top || k > top.k)) top = { k, v: userId };
    return top?.v ?? null;
  };
  const api = newest(counting.filter(view => view.identity.registers.class === 'api'));
  const isLeft = counting.some(view => view.live && view.kind !== 'address' && view.kind !== 'apiAddress');
  const users = counting.filter(view => view.kind === 'user').sort(compareSince);
  const [user] = users.filter(view => view.live || !isLeft);
  if (trace) noteUserIds(trace, counting, users, isLeft, api);
  if (api !== null) return api;
  if (user) return user.identity.registers.personId;
  const gone = isLeft ? users.map(view => view.identity.registers.personId) : [];
  for (const view of counting.filter(each => each.kind === 'payer' && (each.live || !isLeft)).sort(compareFirst)) {
    const external = newest([view], gone);
    if (external !== null) return external;
  }
  return null;
}

/** What was said of user ids. `users`: the earliest first; `api`: what the API set. */
function noteUserIds(trace: Trace, views: View[], users: View[], isLeft: boolean, api: string | null): void {
  const isHere = (view: View) => view.live || !isLeft;
  const [first] = users.filter(isHere);
  let isOpen = api === null && !first;
  const gone = isLeft ? users.map(view => view.identity.registers.personId) : [];
  for (const view of users) {
    const lost = !isHere(view) ? 'userGone' : 'earliestUser';
    const rule = api !== null ? 'apiSet' : view === first ? null : lost;
    const { personId, facts } = view.identity.registers;
    trace.note('userId', personId, (view.facts[0] ?? facts[0])?.k ?? view.first, view, rule);
  }
  for (const view of [...views].sort(compareFirst)) {
    const isApi = view.identity.registers.class === 'api';
    for (const { userId, k } of view.facts.filter(one => one.userId !== undefined).reverse()) {
      if (isApi) trace.note('userId', userId!, k, view, userId === api ? null : 'apiLater');
      else if (view.kind === 'payer') {
        const isGone = !isHere(view) || gone.includes(userId!);
        const lost = api !== null ? 'apiSet' : first ? 'userFirst' : isGone ? 'userGone' : 'eldestPayer';
        const rule = isOpen && !isGone ? null : lost;
        trace.note('userId', userId!, k, view, rule);
        if (rule === null) isOpen = false;
      }
    }
  }
  const claims = trace.fields.get('userId')?.claims ?? [];
  const won = claims.find(claim => claim.rule === null);
  const rule = api !== null ? 'apiSet' : first ? 'earliestUser' : 'payerId';
  trace.settle('userId', won?.value ?? null, won ? (claims.length > 1 ? rule : first ? 'only' : rule) : 'none');
}

interface Said {
  k: K;
  v: string;
  /** By the API, where it stays. */
  set: boolean;
  view: View;
  /** The fact's own key. */
  from: K;
}

/** What the API set last, else what the earliest fact that has it says. */
const ORIGIN: Criterion<Said>[] = [
  ['apiSet', (x, y) => Number(x.set) - Number(y.set)],
  ['newer', (x, y) => (x.set ? compareTexts(x.k, y.k) : 0)],
  ['notFirst', (x, y) => compareTexts(y.k, x.k)],
];

export function findOrigin(views: View[], trace: Trace | null) {
  const sources: Said[] = [];
  const groups: Said[] = [];
  for (const view of views) {
    if (view.withheld) continue;
    const api = view.identity.registers.class === 'api';
    for (const one of view.facts) {
      const k = clampKey(view, one.k);
      if (one.setSource !== undefined) sources.push({ k, v: one.setSource, set: true, view, from: one.k });
      if (one.source !== undefined && (one.e !== undefined || one.made))
        sources.push({ k, v: one.source, set: false, view, from: one.k });
      if (one.group !== undefined) groups.push({ k, v: one.group, set: api, view, from: one.k });
    }
  }
  return { source: chooseOrigin('source', sources, trace), userGroup: chooseOrigin('userGroup', groups, trace) };
}

function chooseOrigin(field: 'source' | 'userGroup', said: Said[], trace: Trace | null): string {
  let top: Said | null = null;
  for (const each of said) if (!top || compareBy(ORIGIN, each, top)?.isFirst) top = each;
  if (trace) {
    for (const each of said) {
      const lost = each === top || !top ? null : (compareBy(ORIGIN, top, each)?.rule ?? 'notFirst');
      trace.note(field, each.v, each.from, each.view, lost === 'newer' ? 'apiLater' : lost);
    }
    const earliest = field === 'source' ? 'earliestSource' : 'earliestGroup';
    trace.settle(field, top?.v ?? '', top ? (top.set ? 'apiSet' : said.length > 1 ? earliest : undefined) : 'none');
  }
  return top?.v ?? '';
}
