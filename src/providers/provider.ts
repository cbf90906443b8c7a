import type { z } from 'zod';

/** Bytes and headers as they arrived. `headers` has lower-case names; a header that was sent twice is joined with ", ". */
export interface RawRequest {
  body: Uint8Array;
  headers: Record<string, string>;
}

/** A signing secret in the clear, newest first. Never logged, never stored unsealed. */
export interface Secret {
  id: string;
  value: string;
}

/** A body as it was read. */
export interface Parsed {
  /** Bounded in depth and tokens. Undefined: not JSON we can read; `problem` says why. */
  json?: unknown;
  /** What `json` was parsed from. */
  text?: string;
  problem?: string;
}

/** What a verified request says about itself. */
export interface Seen extends Parsed {
  /** The secret that matched. */
  secretId: string;
  /** The provider's id of this event, null where it has none (Supabase: see `Provider.dedupe`). */
  externalId: string | null;
  /** The provider's event type as it names it, '' when the body holds none. */
  type: string;
  /** When it happened by the provider's clock, ms since 1970; the arrival time where the provider says nothing. */
  at: number;
}

/** Why a request is not verified. `message` is for the log only; the sender gets one constant sentence. */
export class Unverified extends Error {
  constructor(
    readonly reason: 'missingHeader' | 'doubledHeader' | 'malformed' | 'badSignature' | 'clockSkew' | 'noSecret',
    message: string,
    /** Seconds the sender's timestamp is ahead (+) or behind (-) our clock, set only where the signature itself was right. */
    readonly skewSeconds?: number,
    /** A closer look that costs more than the refusal itself, for the few refusals that are logged: a better cause, or null. */
    readonly lookCloser?: () => string | null,
  ) {
    super(message);
    this.name = 'Unverified';
  }
}

/** Created/INSERT 0, updated/UPDATE 1, other 2, deletion 3: breaks ties between facts of one millisecond. */
export type Rank = 0 | 1 | 2 | 3;

/** What the event itself says the person was like before it (`previous_attributes`, `old_record`). An absent key: it does not say. */
export interface Former {
  email?: string | null;
  firstName?: string | null;
  lastName?: string | null;
}

/**
 * "This person has this address and name, as of then." One delivery gives one Fact, or none (then `Ignored` says why).
 * Emails are trimmed, lower-cased, with an ASCII domain, and plausible, or null. Texts are well-formed, without NUL, at most 500 characters.
 */
export interface Fact {
  /** `person`: the provider's own object of the person. `copy`: a copy of it on an invoice, order, session, dispute. */
  authority: 'person' | 'copy';
  rank: Rank;
  /** ms since 1970 by the provider's clock: the ordering value (Clerk data.updated_at, Supabase record.updated_at …). */
  at: number;
  /** The digits of `at` beyond the ms: 0 to 999 µs (Supabase; 0 elsewhere). */
  micros: number;
  /** Orders facts of one time where their former values say nothing: Clerk's event `timestamp`, ms. 0: none. */
  sentAt: number;
  /** When it happened, where `at` is only its place in the order: Supabase's DELETE shows when the row was last changed. */
  happenedAt?: number;
  /** The provider's id of the person. Null: address-only (guest checkout, waitlist entry, dispute). */
  personId: string | null;
  /** Other ids of the same provider that mean this person for good: `acct_…` beside `cus_…`. They tie. */
  aliases: string[];
  /** Ids of payments (`pi_…`, `ch_…`, `in_…`): they find who paid and tie nobody. */
  payments: string[];
  email: string | null;
  /** Whether the provider itself verified that `email` is the person's (never true of payment providers). */
  proven: boolean;
  former: Former | null;
  firstName: string | null;
  lastName: string | null;
  /** The user's id in the user's own product: Clerk/Supabase user id, Polar external_id. */
  userId: string | null;
  /** True where the event says that the person object is gone at the provider. */
  deletion: boolean;
  /** The type whose settings apply, where it is not the event's own (Supabase's soft delete is an UPDATE). */
  settingsType?: string;
}

/** Verified, but nothing to apply. `message` says which rule and what to do about it. */
export interface Ignored {
  ignored: string;
}

/**
 * What became of a mail after the provider had taken it. One event is about one mail. `hardBounce`: nobody has this address;
 * `softBounce`: it did not arrive this time; `complaint`: its recipient marked it as spam.
 */
export interface MailReport {
  report: 'hardBounce' | 'softBounce' | 'complaint';
  /** What may name the mail: Message-IDs (RFC 5322) without their angle brackets, and what the mailer had written on it. */
  mailIds: string[];
  /** Addresses it was for, in their normal form. */
  recipients: string[];
  /** The sender's address; null: the event does not say. */
  from: string | null;
  /** `hashMailSubject` of its subject; null: the event does not say. */
  subject: string | null;
  /** What the recipient's server answered, in its own words; null: the event does not say. */
  words: string | null;
  /** The provider's reason, for people. */
  detail: string;
}

export interface EventType {
  type: string;
  description: string;
  carriesEmail: 'always' | 'usually' | 'sometimes' | 'never';
  deletion: boolean;
  /** The three update types whose trigger stays silent when nothing changed that we map. */
  silentWhenUnchanged?: boolean;
}

export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** One object of a provider's list, shaped as a body of the back-fill's event type. `at`: when it last changed, ms. */
export interface Listed {
  /** Null: it has none, and is passed over. */
  id: string | null;
  at: number;
  body: unknown;
}

export interface ListPage {
  items: Listed[];
  /** What to ask for next; null: this is the last page. Never a secret. */
  next: string | null;
  /** How many there are in all, where the provider says. */
  total: number | null;
}

/** How to read all persons of a provider, page by page. */
export interface Backfill<S = unknown> {
  /** The event type that each of them is read as and whose settings apply. */
  type: string;
  /** Objects that do not say when they last changed: what differs from what is known is taken to be as of the reading. */
  undated?: true;
  /** What the API key must be, for messages. */
  key: string;
  /** Settings that must be there beside the key. */
  needs: (keyof S & string)[];
  /** @throws ApiTrouble, AppError */
  page(ask: { key: string; settings: S; cursor: string | null; fetch: Fetch }): Promise<ListPage>;
}

/** Sign-ups whose address nobody proved to be theirs. */
interface Unproven<S = unknown> {
  /** Whether an endpoint with these settings lets them in. */
  isTaken(settings: S): boolean;
  /** Whether a redacted body shows an address that counts without proof; false: a proven one, null: neither yet. */
  lacksProof(body: unknown): boolean | null;
  /** What follows for those who are let in, and the setting that leaves them out. */
  follows: string;
  /** What to do where all of them come so. */
  help: string;
}

/** One provider, in one file: pure translation from bytes and headers to Facts. No database, no clock, no environment. */
export interface Provider<S = unknown> {
  id: string;
  name: string;
  /** `auth` (Clerk, Supabase) outranks `payment` (Stripe, Polar) in the contact rules. `mail`: it tells of mails, not of people. */
  class: 'auth' | 'payment' | 'mail';
  /** What can be set per endpoint; every key has a default. What all have in common (`namespace`, `maxBodyBytes`) the registry adds. */
  settings: z.ZodType<S>;
  /** All that is applied. The body of a verified event of any other type is not stored. */
  types: EventType[];
  /** Hosts of the provider's API; `*.` stands for one label. */
  apiHosts: string[];
  /** Settings that say where the API key is sent: whoever changes one of them must bring the key along. */
  movesWith: string[];
  /** Steps in the provider's dashboard; `{url}` stands for the endpoint's URL, `{secretHeader}` for its header line. */
  setup: string[];
  /** Supabase: we make the secret and its owner adds it as a header. Others show theirs after they have our URL. */
  secretMadeBy: 'provider' | 'inlet';
  /** Headers that are safe and useful in the log, lower case. Never one that carries a secret. */
  logHeaders: string[];
  /** What is wrong with a pasted signing secret and which kind is wanted, to follow "secret: "; null: nothing. Never repeats the secret. */
  secretProblem(secret: string): string | null;
  /** Header names that show that a request was signed by this provider's scheme (to name the right provider in a refusal). */
  signatureHeaders: string[];
  /**
   * Proves the request over the received bytes; parses only afterwards. `now` in ms.
   * @throws Unverified with the precise cause
   */
  verify(req: RawRequest, secrets: Secret[], settings: S, now: number): Promise<Seen> | Seen;
  /** What may be stored. Mapping, paths and replay see only this. Returns the same object when nothing had to go. */
  redact(body: unknown): unknown;
  /** Whether a mapping path (`record.raw_user_meta_data.access_token`) leads to something that `redact` takes away. */
  withholds?(path: string): boolean;
  /**
   * What one redacted body says: of a person, or of a mail. Pure and total: never throws, whatever the shape. `seen` holds the logged
   * type, time and id.
   */
  read(
    body: unknown,
    settings: S,
    seen: { type: string; at: number; externalId: string | null },
  ): Fact | MailReport | Ignored;
  /** The same document as it was before an update, where the event itself says so (previous_attributes, old_record). Else null. */
  previous(body: unknown): unknown;
  /**
   * Ids of a provider without event ids: `group` names the row (it holds the person's id: hash it with a key before it is stored),
   * `hash` this state of it. `once`: a duplicate is any other of that hash; else only one that equals the row's newest accepted fact.
   */
  dedupe?(body: unknown): { group: string; hash: string; once: boolean } | null;
  /** One call to the provider's API for an event that holds only an id. Null: that person can't be looked up. */
  lookup?(body: unknown, fact: Fact, settings: S, fetch: Fetch): Promise<Fact | null>;
  /** What lets `lookup` ask at once, for the message of a delivery that waits for its person. */
  lookupHint?: string;
  /** Of providers of users: those who did not prove their address. */
  unproven?: Unproven<S>;
  /** Reads everybody there is already. */
  backfill?: Backfill<S>;
  /** Of mail providers: headers by which their events will name a mail again. They are set while there is an endpoint of this provider. */
  markMail?(mailId: string): Record<string, string>;
  /** A real-shaped body of this type for `send-test`, with this address, a fresh id and `now` in ms. */
  sample(type: string, email: string, now: number): unknown;
  /** Signs a sample as the provider would: the headers to send beside `body`. `now` in ms. */
  sign(body: string, secret: string, settings: S, now: number): Record<string, string>;
}
