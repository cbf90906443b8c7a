/** How a column says whether somebody opted out. */
export type ConsentKind = 'subscribed' | 'unsubscribed' | 'optOutTime';
/** What a cell says; null: it can't be understood. */
type Consent = 'out' | 'in' | 'nothing' | null;

const YES = new Set(['true', 'yes', 'y', '1', 't', 'on']);
const NO = new Set(['false', 'no', 'n', '0', 'f', 'off']);
const splitWords = (text: string) => new Set(text.split(' '));

/** Words that are said of mail only, in lower case without spaces and signs. */
const LEFT = splitWords(
  'unsubscribed unsubscribe unsub bounced bounce hardbounced hardbounce softbounced complained complaint spam spamcomplaint spamreport reportedspam junk cleaned blocklisted blacklisted suppressed optedout optout donotemail donotmail donotcontact neversubscribed notsubscribed nonsubscribed nonsubscriber',
);
/** Words that are said of orders and accounts, too. Who is not confirmed yet has not agreed either. */
const LEFT_MAYBE = splitWords(
  'blocked banned cancelled canceled inactive deleted removed disabled archived out unconfirmed notconfirmed unactivated pending rejected declined denied revoked withdrawn invalid undeliverable',
);
const STAYED = splitWords(
  'active subscribed subscriber confirmed enabled optedin optin singleoptin doubleoptin confirmedoptin accepted granted regular email',
);
const BLANK = splitWords('null na none nan undefined never');

/** What a database writes for nothing. `Null` is a surname. */
export const saysNothing = (text: string): boolean =>
  text === '' || text === 'null' || text === 'NULL' || text === '\\N' || text.trim() === '';

export const simplifyText = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, '');

export const isOptOutWord = (text: string): boolean => LEFT.has(simplifyText(text));
export const isConsentWord = (text: string): boolean => {
  const word = simplifyText(text);
  return LEFT.has(word) || LEFT_MAYBE.has(word) || STAYED.has(word);
};

/** What a cell says of consent. */
export function readConsent(text: string, kind: ConsentKind): Consent {
  if (saysNothing(text)) return 'nothing';
  const word = simplifyText(text);
  if (kind === 'optOutTime')
    return NO.has(word) || BLANK.has(word) || /^0*$/.test(word) || STAYED.has(word) ? 'nothing' : 'out';
  if (LEFT.has(word) || LEFT_MAYBE.has(word)) return 'out';
  if (STAYED.has(word)) return 'in';
  const turned = kind === 'unsubscribed';
  if (YES.has(word)) return turned ? 'out' : 'in';
  if (NO.has(word)) return turned ? 'in' : 'out';
  return null;
}

const TIMES = [
  /^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?$/,
  /^\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d\d)(,? .*)?$/,
  /^\d{8}T\d{4,6}Z?$/,
  /^\d{10}(\d{3})?$/,
  /^([a-z]{3,9},? )?[a-z]{3,9}\.? \d{1,2},? \d{4}\b/i,
  /^([a-z]{3,9},? )?\d{1,2}\.?[ -][a-z]{3,9}\.?[ -]\d{2,4}\b/i,
];
export const isTime = (text: string): boolean => TIMES.some(pattern => pattern.test(text.trim()));
