import { createHash, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { apiKey, apiUrl } from './api.ts';
import { parseMs, parseTime, pickAt, pickId, pickText, readOwn } from './pick.ts';
import type { EventType, Fact, Ignored, Provider, RawRequest, Secret, Seen } from './provider.ts';
import { findGivenSecret, headerName, readSecretHeader, SECRET_HEADER } from './secretHeader.ts';
import { findSecretProblem } from './secrets.ts';
import { parseBody } from './signatures.ts';
import { backfill } from './supabaseApi.ts';
import { lacksProof, readShown, redactRow, withholds } from './supabaseRow.ts';

const settings = z.object({
  confirmedOnly: z
    .boolean()
    .default(false)
    .describe('Ignore a sign-up until its address is proven by a confirmation mail or an OAuth identity'),
  trustAutoConfirmed: z
    .boolean()
    .default(false)
    .describe('Take addresses for proven that the project confirms by itself ("Confirm email" off)'),
  headerName,
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
  'Is "Confirm email" off (Authentication → Sign In / Providers), then nobody has proven an address: such sign-ups take no contact, name or mail that somebody else had before. settings.trustAutoConfirmed takes them for proven; set it only where strangers cannot sign up. settings.confirmedOnly ignores sign-ups until their address is proven.',
  'Optional: set settings.projectUrl (https://….supabase.co) and the secret or service_role key as settings.apiKey. Supabase never sends a webhook twice; a back-fill finds what was missed.',
];

/** Supabase signs nothing: the only proof is a header with a secret of ours (supabase.com/docs/guides/database/webhooks). */
function verify(req: RawRequest, secrets: Secret[], set: Settings, now: number): Seen {
  const signer = findGivenSecret(secrets, readSecretHeader(req, set.headerName), set.headerName);
  const parsed = parseBody(req.body);
  const { json } = parsed;
  const type = pickText(readOwn(json, 'type')) ?? '';
  const time = (type === 'DELETE' ? null : parseMs(pickAt(json, 'record.updated_at'))) ?? now; // a DELETE does not say when
  return { secretId: signer.id, externalId: null, type, at: time, ...parsed };
}

/** An allow-list: the row holds the password hash and one-time tokens. Rows of other tables keep nothing. */
function redact(body: unknown): unknown {
  const head = {
    type: pickText(readOwn(body, 'type')),
    schema: pickText(readOwn(body, 'schema')),
    table: pickText(readOwn(body, 'table')),
  };
  if (head.schema !== 'auth' || head.table !== 'users') return head;
  return { ...head, record: redactRow(readOwn(body, 'record')), old_record: redactRow(readOwn(body, 'old_record')) };
}

function read(body: unknown, set: Settings, seen: { type: string; at: number }): Fact | Ignored {
  const { type } = seen;
  if (!types.some(each => each.type === type))
    return { ignored: `Ignored: "${type}" is not INSERT, UPDATE or DELETE. Is the hook's method POST?` };
  if (readOwn(body, 'schema') !== 'auth' || readOwn(body, 'table') !== 'users') {
    return { ignored: 'Ignored: not a row of auth.users. Choose the table "auth users" in the database webhook.' };
  }
  const row = readOwn(body, type === 'DELETE' ? 'old_record' : 'record');
  const before = type === 'UPDATE' ? readOwn(body, 'old_record') : null;
  const userId = pickId(readOwn(row, 'id'));
  if (userId === null) return { ignored: 'Ignored: the row holds no id.' };
  const softDeleted = type === 'UPDATE' && pickText(readOwn(row, 'deleted_at')) !== null;
  const deletion = type === 'DELETE' || softDeleted;
  const time = parseTime(readOwn(row, 'updated_at')) ??
    parseTime(readOwn(row, 'created_at')) ?? { ms: seen.at, micros: 0 };
  const former = typeof before === 'object' && before !== null ? readShown(before, set) : null;
  return {
    authority: 'person',
    rank: deletion ? 3 : type === 'INSERT' ? 0 : 1,
    at: time.ms,
    micros: time.micros,
    sentAt: 0,
    personId: userId,
    aliases: [],
    payments: [],
    ...readShown(softDeleted ? before : row, set), // a soft delete has hashed the address in the row itself
    ...(deletion && { firstName: null, lastName: null }),
    former: former && { email: former.email, firstName: former.firstName, lastName: former.lastName },
    userId,
    deletion,
    ...(softDeleted && { settingsType: 'DELETE' }),
    ...(type === 'DELETE' && { happenedAt: seen.at }),
  };
}

/** The document as it was: an INSERT had nothing before it. */
function readPrevious(body: unknown): unknown {
  const before = readOwn(body, 'old_record');
  return readOwn(body, 'type') === 'UPDATE' && typeof before === 'object' && before !== null
    ? { ...Object(body), record: before }
    : null;
}

/** JSON with sorted keys: the database does not keep their order. */
function canonicalizeJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}

/** A row is inserted and deleted once; an UPDATE may bring back what was before (A, B, A). */
function dedupe(body: unknown) {
  const kept = redact(body);
  const row = pickId(pickAt(kept, 'record.id')) ?? pickId(pickAt(kept, 'old_record.id'));
  if (row === null) return null;
  const hash = createHash('sha256').update(canonicalizeJson(kept)).digest('hex');
  return { group: row, hash, once: readOwn(kept, 'type') !== 'UPDATE' };
}

function sample(type: string, address: string, now: number): unknown {
  const time = new Date(now).toISOString().replace('Z', '000+00:00');
  const asked = new Date(now - 60_000).toISOString().replace('Z', '000+00:00');
  const row = {
    id: randomUUID(),
    aud: 'authenticated',
    role: 'authenticated',
    email: address,
    confirmation_sent_at: asked,
    email_confirmed_at: time,
    raw_app_meta_data: { provider: 'email', providers: ['email'] },
    raw_user_meta_data: { first_name: 'Ada', last_name: 'Lovelace' },
    is_anonymous: false,
    is_sso_user: false,
    created_at: asked,
    updated_at: time,
    deleted_at: null,
  };
  const old = { ...row, raw_user_meta_data: { first_name: 'A.' }, updated_at: asked };
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
  signatureHeaders: [SECRET_HEADER],
  apiHosts: ['*.supabase.co'],
  movesWith: ['projectUrl'],
  secretProblem: (secret: string) =>
    findSecretProblem(
      secret,
      'Wanted is a random text of 24 or more characters of your own, as in the header of the hook.',
    ),
  verify,
  redact,
  withholds,
  read,
  previous: readPrevious,
  dedupe,
  unproven: {
    isTaken: ({ confirmedOnly, trustAutoConfirmed }: Settings) => !confirmedOnly && !trustAutoConfirmed,
    lacksProof: (body: unknown) => lacksProof(readOwn(body, 'record')),
    follows:
      "They take over nobody's contact and rank below payers until it is proven; settings.confirmedOnly ignores them until then.",
    help: 'Switch on "Confirm email" in Supabase (Authentication → Sign In / Providers), or set settings.trustAutoConfirmed if strangers can\'t sign up.',
  },
  backfill,
  sample,
  sign: (_body: string, secret: string, set: Settings) => ({ [set.headerName]: secret }),
} satisfies Provider<Settings>;
