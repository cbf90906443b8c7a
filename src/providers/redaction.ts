/** Whether the last of these keys, which lead to a value from the top of a body, must not be stored. Array indexes are not among them. */
type Withheld = (keys: readonly string[]) => boolean;

/** The body without withheld keys, at every depth. The same object where nothing had to go. */
export function redactBody(body: unknown, withheld: Withheld): unknown {
  const keys: string[] = [];
  const redact = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) {
      const each = value.map(redact);
      return each.some((one, i) => one !== value[i]) ? each : value;
    }
    let changed = false;
    const kept: [string, unknown][] = [];
    for (const [key, was] of Object.entries(value)) {
      keys.push(key);
      const gone = withheld(keys);
      const is = gone ? undefined : redact(was);
      if (!gone) kept.push([key, is]);
      changed ||= gone || is !== was;
      keys.pop();
    }
    return changed ? Object.fromEntries(kept) : value;
  };
  return redact(body);
}

/** Whether a mapping path such as `data.object.card.last4` leads to or through a withheld key. */
export function leadsToWithheld(path: string, withheld: Withheld): boolean {
  const keys = path
    .replace(/\[\d{1,6}\]/g, '')
    .split('.')
    .filter(key => !/^\d{1,6}$/.test(key));
  return keys.some((_, i) => withheld(keys.slice(0, i + 1)));
}

const SECRET_WORDS = new Set(
  (
    'password passwords passwd passcode passcodes passphrase passphrases pwd secret secrets token tokens otp otps totp pin pins ' +
    'hash hashes salt credential credentials jwt jwts session sessions mnemonic cvc cvv'
  ).split(' '),
);
const SECRET_PAIRS = new Set([
  ...combinePairs('api access private secret signing encryption auth service role ssh recovery refresh', 'key keys'),
  ...combinePairs('auth authentication authorization verification confirmation recovery backup security', 'code codes'),
  ...combinePairs('access login reset mfa fa sms email', 'code codes'),
  ...combinePairs('magic', 'link links'),
  ...combinePairs('recovery seed', 'phrase phrases'),
]);
const JOINED_PAIRS = new Set([...SECRET_PAIRS].map(pair => pair.replace(' ', '')));
const SECRET_TAIL = /(?:password|passwd|passphrase|secret|token)s?$/;
/** No ASCII key without one of these can name a secret: most keys need no closer look. */
const STEM =
  /pass|pwd|secret|token|otp|pin|hash|salt|credential|jwt|session|mnemonic|cvc|cvv|key|code|link|phrase|[^ -~]/i;

function combinePairs(firsts: string, seconds: string): string[] {
  return firsts.split(' ').flatMap(first => seconds.split(' ').map(second => `${first} ${second}`));
}

/** `accessToken`, `access_token`, `Access-Token2` → `access token …`. */
const splitWords = (key: string): string[] =>
  key
    .normalize('NFKC')
    .replace(/(\p{Ll}|\d)(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}]+/u)
    .filter(word => word !== '');

const MAX_JUDGED = 5000;
const judged = new Map<string, boolean>(); // the keys of a provider's payloads come again and again

/** Whether a key names a secret, by its whole words: `api_key`, `otpCode`, `apikey`; not `zip_code`, `shipping_plan`, `author`. */
export function soundsSecret(key: string): boolean {
  const known = judged.get(key);
  if (known !== undefined) return known;
  const is = STEM.test(key) && includeSecret(splitWords(key));
  if (judged.size >= MAX_JUDGED) judged.clear();
  if (key.length <= 100) judged.set(key, is);
  return is;
}

const includeSecret = (words: string[]): boolean =>
  words.some(
    (word, i) =>
      SECRET_WORDS.has(word) ||
      SECRET_TAIL.test(word) ||
      JOINED_PAIRS.has(word) ||
      SECRET_PAIRS.has(`${word} ${words[i + 1]}`),
  );
