/**
 * What a mail server's refusal is about. `mailbox`: it says that nobody has this address, the one proof that ends an address.
 * `unknown`: its words tell nothing.
 */
export type Blame = 'sender' | 'policy' | 'rate' | 'content' | 'mailbox' | 'mailboxFull' | 'greylisting' | 'unknown';

/** An enhanced status code (RFC 3463) anywhere in the text, which is no part of an IP address. */
const CODE = /(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\.?\d)/;
/** RFC 3463 and RFC 7505: no such mailbox, host, syntax, moved away, null MX; mailbox disabled. 5.1.7 and 5.1.8 are of the sender. */
const OF_MAILBOX = new Set(['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10', '5.2.1']);
const OF_SENDER = /^[45]\.1\.[78]$/;
const HOST_TAKES_NONE = /^521/; // RFC 7504: of the host, whatever code follows

const FULL =
  /(mailbox|inbox|account|user|recipient)\W[^;]{0,30}(\bfull\b|over ?quota|out of storage)|quota ?exceeded ?\(mailbox|mailbox full/;
const RATE =
  /\brate\b|too (many|much|quickly|fast)|throttl|per (hour|day|minute)|this hour|daily|hourly|(limits?|quota|credits?) (exceeded|reached)|exceeded (your|the max)|unusual (sending|volume)|unexpected volume|server busy/;
const GREY = /gr[ae]y-?list/;
const POLICY_OF_DOMAIN =
  /\bdmarc\b|\bspf\b|\bdkim\b|sender is unauthenticated|sending (domain|ip)\b|authentication level|not authenticated to send/;
const SENDER =
  /sender|from['"]? address|mail from|return.?path|envelope from|outgoing mail|sending suspended|(allowed|permissions?|authori[sz]ed) to send\b|send as\b|(?:is|are) not verified|verification failed|while verifying|receive from|\bdomain \S+ is (disabled|suspended|not allowed)/;
const CONTENT =
  /virus|malware|\bcontent|attachment|message (is |file )?(size|too (big|large))|spam message|(classified|detected|rejected|identified) as spam/;
const POLICY =
  /relay(ing)? (access |not |is )?(denied|permitted|allowed|disallowed|prohibited)|to relay|for relay|rcpthosts|block|black ?list|spamhaus|reputation|polic(y|ies)|prohibit|denied|\bptr\b|\bhelo\b|\behlo\b|reverse dns|authenticat|banned|client host|abuse|unsolicited|not authori[sz]ed|not (allowed|permitted)/;
const NO_MAILBOX =
  /user unknown|unknown (user|recipient|mailbox|local part)|no such (user|mailbox|recipient|address|person|account)|no mailbox (here )?by that name|(user|mailbox|recipient|account|address)\b[^.;]{0,40}(does not|doesn't|doesn’t) exist|(user|recipient|mailbox|address|account) (was )?not found|invalid (recipient|mailbox|user)|(recipient|mailbox) unknown|doesn't have an? \S+ account|unrouteable address|mailbox (is )?disabled|null ?mx/;

/** What a reply, all of its lines, says of whose fault it is. In doubt it is anything but the mailbox's. */
export function findBlame(response: string): Blame {
  const text = response.toLowerCase().replace(/\r?\n\d{3}[ -]/g, ' ');
  const code = CODE.exec(text)?.[0] ?? '';
  if (/^[45]\.2\.2$/.test(code) || FULL.test(text)) return 'mailboxFull';
  if (RATE.test(text)) return 'rate';
  if (GREY.test(text)) return 'greylisting';
  if (POLICY_OF_DOMAIN.test(text)) return 'policy';
  if (OF_SENDER.test(code) || SENDER.test(text.replace(/https?:\S+/g, ''))) return 'sender';
  if (/^[45]\.(3\.4|2\.3|6\.\d+)$/.test(code) || CONTENT.test(text)) return 'content';
  if (HOST_TAKES_NONE.test(text) || POLICY.test(text)) return 'policy';
  if (OF_MAILBOX.has(code) || NO_MAILBOX.test(text)) return 'mailbox';
  if (code === '5.1.0' && text.includes('address rejected')) return 'mailbox';
  return /^[45]\.7\./.test(code) ? 'policy' : 'unknown';
}
