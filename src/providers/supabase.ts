import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { apiKey, apiUrl, getJson, listOf, nextPage, PER_PAGE, pageOf } from './api.ts';
import { at, email, id, msOfText, own, splitName, text } from './pick.ts';
import {
  type Backfill,
  type EventType,
  type Fact,
  type Ignored,
  type Provider,
  type RawRequest,
  type Secret,
  type Seen,
  Unverified,
} from './provider.ts';
import { parseJson, sameText, usable } from './signatures.ts';

const HEADER = 'x-inlet-secret';

const settings = z.object({
  confirmedOnly: z.boolean().default(false).describe('Take an address only once it is confirmed'),
  headerName: z
    .string()
    .regex(/^[a-z][a-z0-9-]{2,63}$/, 'must be a lower-case header name such as x-inlet-secret')
    .refine(
      name => !['authorization', 'cookie', 'host', 'content-type', 'content-length'].includes(name),
      'is taken; use a name of its own, such as x-inlet-secret',
    )
    .default(HEADER)
    .describe('Header that carries the secret'),
  projectUrl: apiUrl.describe('https://….supabase.co, for back-fills'),
  apiKey: apiKey('Secret key (sb_secret_…) or service_role key of the project, for back-fills'),
});
type Settings = z.infer<typeof settings>;

const types: EventType[] = [
  {
    type: 'INSERT',
    description: 'A row of auth.users was inserted: a sign-up',
    carriesEmail: 'usually',
    deletion: false,
  },
  {
    type: 'UPDATE',
    description: 'A row of auth.users changed; soft deletes come this way too',
    carriesEmail: 'usually',
    deletion: false,
    silentWhenUnchanged: true,
  },
  { type: 'DELETE', description: 'A row of auth.users was deleted', carriesEmail: 'usually', deletion: true },
];

const setup = [
  'In Supabase open Project → Integrations → Database Webhooks → Create a new hook.',
  'Table "auth users"; tick Insert, Update and Delete.',
  'Type "HTTP Request", method POST, URL {url}, timeout 5000 ms or more.',
  'Under HTTP Headers add {secretHeader} and keep Content-type: application/json.',
  'Optional: set settings.projectUrl (https://….supabase.co) and the secret or service_role key as settings.apiKey. Supabase never sends a webhook twice; a back-fill finds what was missed.',
];

/** Supabase signs nothing: the only proof is a header with a secret of ours (supabase.com/docs/guides/database/webhooks). */
function verify(req: RawRequest, secrets: Secret[], set: Settings, now: number): Seen {
  const given = Object.hasOwn(req.headers, set.headerName) ? req.headers[set.headerName] : undefined;
  if (!given) throw new Unverified('missingHeader', `no ${set.headerName} header`);
  if (given.includes(', ')) throw new Unverified('doubledHeader', `the ${set.headerName} header came more than once`);
  let signer: Secret | undefined;
  for (const secret of usable(secrets)) if (sameText(secret.value, given)) signer ??= secret;
  if (!signer)
    throw new Unverified('badSignature', `the ${set.headerName} header does not hold a secret of this endpoint`);
  const { json, problem } = parseJson(req.body);
  const time = msOfText(at(json, 'record.updated_at')) ?? msOfText(at(json, 'old_record.updated_at')) ?? now;
  return { secretId: signer.id, externalId: null, type: text(own(json, 'type')) ?? '', at: time, json, problem };
}

const KEPT_COLUMNS = [
  'id', 'aud', 'role', 'email', 'email_confirmed_at', 'invited_at', 'last_sign_in_at', 'created_at', 'updated_at', 'deleted_at',
  'is_anonymous', 'is_sso_user', 'is_super_admin', 'banned_until',
]; // biome-ignore format: one glance
const SECRET_KEY = /pass|secret|token|hash|otp|pin|key|code|auth|credential|session|jwt/i;

/** Own entries, in order, nested up to three levels, whose names do not sound like a secret. */
function harmless(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 3) return null;
  if (Array.isArray(value)) return value.slice(0, 100).map(each => harmless(each, depth + 1));
  const kept = Object.entries(value).filter(([key]) => !SECRET_KEY.test(key));
  return Object.fromEntries(kept.map(([key, each]) => [key, harmless(each, depth + 1)]));
}

function redactRow(row: unknown): unknown {
  if (typeof row !== 'object' || row === null) return null;
  const kept = KEPT_COLUMNS.filter(key => Object.hasOwn(row, key)).map(key => {
    const value = own(row, key);
    return [key, typeof value === 'object' ? null : value];
  });
  const app = own(row, 'raw_app_meta_data');
  const appKept = { provider: text(own(app, 'provider')), providers: harmless(own(app, 'providers')) ?? null };
  return {
    ...Object.fromEntries(kept),
    raw_user_meta_data: harmless(own(row, 'raw_user_meta_data')) ?? null,
    raw_app_meta_data: appKept,
  };
}

/** An allow-list: the row holds the password hash and one-time tokens. Rows of other tables keep nothing. */
function redact(body: unknown): unknown {
  const head = { type: text(own(body, 'type')), schema: text(own(body, 'schema')), table: text(own(body, 'table')) };
  if (head.schema !== 'auth' || head.table !== 'users') return head;
  return { ...head, record: redactRow(own(body, 'record')), old_record: redactRow(own(body, 'old_record')) };
}

function names(row: unknown) {
  const meta = own(row, 'raw_user_meta_data');
  const first = text(own(meta, 'first_name')) ?? text(own(meta, 'given_name'));
  const last = text(own(meta, 'last_name')) ?? text(own(meta, 'family_name'));
  if (first !== null || last !== null) return { firstName: first, lastName: last };
  return splitName(text(own(meta, 'full_name')) ?? own(meta, 'name'));
}

function read(body: unknown, set: Settings, seen: { type: string; at: number }): Fact | Ignored {
  const { type } = seen;
  if (!types.some(each => each.type === type))
    return { ignored: `Ignored: "${type}" is not INSERT, UPDATE or DELETE. Is the hook's method POST?` };
  if (own(body, 'schema') !== 'auth' || own(body, 'table') !== 'users') {
    return { ignored: 'Ignored: not a row of auth.users. Choose the table "auth users" in the database webhook.' };
  }
  const row = own(body, type === 'DELETE' ? 'old_record' : 'record');
  const userId = id(own(row, 'id'));
  if (userId === null) return { ignored: 'Ignored: the row holds no id.' };
  const softDeleted = type === 'UPDATE' && text(own(row, 'deleted_at')) !== null;
  const deletion = type === 'DELETE' || softDeleted;
  const unconfirmed = set.confirmedOnly && text(own(row, 'email_confirmed_at')) === null;
  const named = deletion ? { firstName: null, lastName: null } : names(row);
  const former = email(at(body, 'old_record.email'));
  return {
    authority: 'person',
    rank: deletion ? 3 : type === 'INSERT' ? 0 : 1,
    at: msOfText(own(row, 'updated_at')) ?? msOfText(own(row, 'created_at')) ?? seen.at,
    personId: userId,
    aliases: [],
    email: unconfirmed && !deletion ? null : softDeleted ? former : email(own(row, 'email')),
    formerEmail: set.confirmedOnly && text(at(body, 'old_record.email_confirmed_at')) === null ? null : former,
    ...named,
    userId,
    deletion,
    ...(softDeleted && { settingsType: 'DELETE' }),
  };
}

/** The document as it was: an INSERT had nothing before it. */
function previous(body: unknown): unknown {
  const before = own(body, 'old_record');
  return own(body, 'type') === 'UPDATE' && typeof before === 'object' && before !== null
    ? { ...Object(body), record: before }
    : null;
}

/** JSON with sorted keys: the database does not keep their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}

function dedupe(body: unknown) {
  const row = id(at(body, 'record.id')) ?? id(at(body, 'old_record.id'));
  return row === null ? null : { group: row, hash: createHash('sha256').update(canonical(body)).digest('hex') };
}

/**
 * GET /auth/v1/admin/users by page, `{users, aud}` and X-Total-Count (supabase.com/docs/reference/javascript/auth-admin-listusers; that it
 * can be sorted is read in supabase/auth, internal/api/sorting.go). Its users are the rows under other names.
 */
const backfill: Backfill<Settings> = {
  type: 'INSERT',
  key: 'the secret (sb_secret_…) or service_role key of the project',
  needs: ['projectUrl'],
  async page({ key, settings: set, cursor, fetch }) {
    const { page, before } = pageOf(cursor);
    const query = `page=${page}&per_page=${PER_PAGE}&sort=created_at%20asc`;
    const headers = { apikey: key, authorization: `Bearer ${key}` };
    const answer = await getJson(fetch, `${set.projectUrl}/auth/v1/admin/users?${query}`, headers);
    const users = listOf(own(answer.json, 'users'));
    const counted = answer.headers.get('x-total-count') ?? '';
    const total = /^\d{1,12}$/.test(counted) ? Number(counted) : null;
    const more = users.length > 0 && (total === null || page * users.length < total);
    return { items: users.map(listed), next: nextPage(page, before, total, more), total };
  },
};

function listed(user: unknown) {
  const record = {
    ...Object(user),
    raw_user_meta_data: own(user, 'user_metadata'),
    raw_app_meta_data: own(user, 'app_metadata'),
  };
  const time = msOfText(own(user, 'updated_at')) ?? msOfText(own(user, 'created_at')) ?? 0;
  const body = { type: 'INSERT', table: 'users', schema: 'auth', record, old_record: null };
  return { id: id(own(user, 'id')), at: time, body };
}

function sample(type: string, address: string, now: number): unknown {
  const time = new Date(now).toISOString().replace('Z', '000+00:00');
  const row = {
    id: randomUUID(),
    aud: 'authenticated',
    role: 'authenticated',
    email: address,
    email_confirmed_at: time,
    raw_app_meta_data: { provider: 'email', providers: ['email'] },
    raw_user_meta_data: { first_name: 'Ada', last_name: 'Lovelace' },
    is_anonymous: false,
    is_sso_user: false,
    created_at: time,
    updated_at: time,
    deleted_at: null,
  };
  const old = { ...row, raw_user_meta_data: { first_name: 'A.' }, updated_at: new Date(now - 60_000).toISOString() };
  return {
    type,
    table: 'users',
    schema: 'auth',
    record: type === 'DELETE' ? null : row,
    old_record: type === 'INSERT' ? null : type === 'UPDATE' ? old : row,
  };
}

export const supabase = {
  id: 'supabase',
  name: 'Supabase',
  class: 'auth' as const,
  settings,
  types,
  setup,
  secretMadeBy: 'inlet' as const,
  logHeaders: [],
  signatureHeaders: [HEADER],
  verify,
  redact,
  read,
  previous,
  dedupe,
  backfill,
  sample,
  sign: (_body: string, secret: string, set: Settings) => ({ [set.headerName]: secret }),
} satisfies Provider<Settings>;
