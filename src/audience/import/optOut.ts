import { invalid } from '../../errors.ts';
import {
  type ConsentKind,
  isConsentWord,
  isOptOutWord,
  isTime,
  readConsent,
  saysNothing,
  simplifyText,
} from './consent.ts';

/** What a column has to do with consent. `asked`: it may, and its values leave it open. `times`: when somebody subscribed. */
type Judgement = ConsentKind | 'ordinary' | 'times' | 'asked';

export const isConsentKind = (judgement: Judgement): judgement is ConsentKind =>
  judgement === 'subscribed' || judgement === 'unsubscribed' || judgement === 'optOutTime';

/** Headers, simplified, that tell who left. */
const OUT =
  /unsub|opt(ed)?out|suppress|bounce|complain|blocklist|blacklist|donot(e?mail|contact)|emaildisabled|^cleaned|^clean(time|campaign)|spamreport/;
/** Headers that tell who agreed. */
const IN = /subscri|opt(ed)?in|consent|accepts\w*(marketing|mail|newsletter)/;
const WORDS = /status|state|marketing/;
/** Free or paid, not mailed or not: Substack. */
const NOT_CONSENT = new Set(['activesubscription', 'paidsubscription']);
/** Parts of a header that speak of another channel than mail. */
const CHANNELS = new Set(['sms', 'whatsapp', 'phone', 'push', 'mobile', 'postal', 'viber', 'telegram']);
/** Parts of a header that speak of another thing than consent, unless the values are words said of mail only. */
const THINGS = new Set(
  'id ids ip url link token hash key code count counts total rate ratio score number num plan tier type level product price amount currency source medium channel campaign tag tags title country region city address province billing shipping payment order invoice lead marital employment account fulfillment financial deal ticket job verification kyc tax credit period interval renewal expiry expires utm'.split(
    ' ',
  ),
);
const TIME_PARTS = new Set(['time', 'at', 'on', 'date', 'timestamp', 'reason', 'campaign', 'title', 'type', 'subtype']);
const AGREED_AT = new Set(['time', 'at', 'on', 'date', 'timestamp', 'since']);
const COUNTS = /^(\d{1,9}|\d{1,3}\.\d{1,6}%?|\d{1,3}%)$/;

/** `UNSUB_TIME`, `unsubTime` and `Unsub time` → unsub, time. */
const splitHeader = (header: string): string[] =>
  header
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(part => part !== '');

/**
 * Whether a column tells who opted out, by its header and the values of its first rows. The status of a property that exists
 * already may be one of orders or accounts: only words said of mail count there.
 */
export function judgeColumn(header: string, values: string[], isProperty = false): Judgement {
  const parts = splitHeader(header);
  const simple = simplifyText(header);
  const given = values.filter(text => !saysNothing(text));
  if (NOT_CONSENT.has(simple) || parts.some(part => CHANNELS.has(part))) return 'ordinary';
  if (OUT.test(simple)) return judgeOut(parts, simple, given);
  const readable = (kind: ConsentKind) => given.every(text => readConsent(text, kind) !== null);
  const thing = parts.some(part => THINGS.has(part)) || (isProperty && /status|state/.test(simple));
  const address = parts.includes('state');
  const words = WORDS.test(simple) && !/(^|[^a-z])(e|inter)state|statement|stated/.test(header.toLowerCase());
  const agreed = IN.test(simple);
  if (!agreed && !words && !parts.includes('type'))
    return given.some(isOptOutWord) && given.every(isConsentWord) ? 'subscribed' : 'ordinary';
  const ofTime = parts.some(part => AGREED_AT.has(part));
  if (given.every(isTime) && (given.length || ofTime)) return 'times';
  if (thing) return !given.some(isOptOutWord) ? 'ordinary' : readable('subscribed') ? 'subscribed' : 'asked';
  if (address && given.filter(isConsentWord).length * 2 <= given.length) return 'ordinary';
  if (!agreed && simple.includes('marketing') && !/status|state/.test(simple))
    return given.every(isConsentWord) ? 'subscribed' : 'asked'; // true of what?
  if (!agreed && given.some(text => /^\d+$/.test(text))) return 'asked'; // which number stands for what?
  return readable('subscribed') ? 'subscribed' : 'asked';
}

function judgeOut(parts: string[], simple: string, given: string[]): Judgement {
  const about = parts.some(part => TIME_PARTS.has(part)) || /(time|at|date|reason|suppressions)$/.test(simple);
  if (about && !parts.some(part => part === 'id')) return 'optOutTime';
  const thing = parts.some(part => THINGS.has(part));
  if (given.length && given.every(isTime)) return 'optOutTime';
  const flags = given.every(text => readConsent(text, 'unsubscribed') !== null);
  if (thing) return !given.some(isOptOutWord) ? 'ordinary' : flags ? 'unsubscribed' : 'asked';
  if (flags) return 'unsubscribed';
  return /s$|ed$/.test(parts.at(-1) ?? '') && parts.length > 1 && given.every(text => COUNTS.test(text))
    ? 'ordinary' // "Marketing emails bounced": how many
    : 'asked';
}

const MAX_SHOWN = 5;
const showText = (text: string, length: number): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const plain = text.replace(/[\u0000-\u001f\u007f-\u009f\p{Cf}]/gu, ' ').toWellFormed();
  return JSON.stringify(plain.length > length ? `${plain.slice(0, length)}…` : plain);
};

/** @throws AppError invalid that asks what the first of these columns means */
export function askAbout(columns: { header: string; values: string[] }[]): never {
  const [{ header, values } = { header: '', values: [] }, ...others] = columns;
  const name = showText(header, 60);
  const distinct = [...new Set(values.filter(text => !saysNothing(text)))].slice(0, MAX_SHOWN);
  const more = others.slice(0, MAX_SHOWN).map(each => showText(each.header, 40));
  throw invalid(
    `columns.${name.slice(1, -1)}: does it say who opted out? It holds ${distinct.map(text => showText(text, 40)).join(', ')}. ` +
      `Say columns={${name}:"subscribed"} or "unsubscribed" or "optOutTime" (any value: opted out) or a property such as "stage", ` +
      `columns={${name}:null} to pass it over, or of the whole file ?subscribed=false (all have opted out) or ?subscribed=true (none has)` +
      `${more.length ? `. Unclear as well: ${more.join(', ')}` : ''}.`,
  );
}
