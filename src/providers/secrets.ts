import { decodeBase64 } from './signatures.ts';

const MIN_CHARACTERS = 24;
const MIN_DIFFERENT = 8;
const MIN_KEY_BYTES = 24;

const OTHER_KINDS: [RegExp, string][] = [
  [/^["'`\u2018-\u201f]|["'`\u2018-\u201f]$/, 'stands in quotation marks. Leave them out'],
  [/^[A-Z][A-Z0-9_]{2,}=[^=]/, 'is a whole line NAME=value. Leave out the name'],
  [/^(sk|rk|pk)_/, 'is an API key, not a signing secret'],
  [/^polar_(oat|pat)_/, 'is an access token of Polar, not a signing secret'],
  [/^(sb_(secret|publishable)_|eyJ)/, 'is an API key of Supabase, not a signing secret'],
  [/^we_/, 'is the id of an event destination, not its signing secret'],
];

/** What is wrong with a pasted secret whatever the provider; `wanted` says where to find the right one. Never repeats the secret. */
export function findSecretProblem(secret: string, wanted: string): string | null {
  const other = OTHER_KINDS.find(([pattern]) => pattern.test(secret));
  if (other) return `${other[1]}. ${wanted}`;
  if (secret.length < MIN_CHARACTERS) return `is shorter than ${MIN_CHARACTERS} characters. ${wanted}`;
  const own = secret.replace(/^(whsec_|polar_whs_)/, '');
  return isTrivial(own) ? `has fewer than ${MIN_DIFFERENT} different characters. ${wanted}` : null;
}

/** Of one made by the provider with the prefix `whsec_`. */
export const findWhsecProblem = (secret: string, wanted: string): string | null =>
  findSecretProblem(secret, wanted) ?? (secret.startsWith('whsec_') ? null : `does not begin with whsec_. ${wanted}`);

/** Of one whose key is what follows `whsec_`, base64-decoded. A key of zeros would verify what an empty key signs. */
export function findSvixProblem(secret: string, wanted: string): string | null {
  const problem = findWhsecProblem(secret, wanted);
  if (problem !== null) return problem;
  const key = decodeBase64(secret.slice('whsec_'.length));
  if (key === null || key.length < MIN_KEY_BYTES) return `is not whole: base64 of a key follows whsec_. ${wanted}`;
  return isTrivial(key) ? `holds a trivial key. ${wanted}` : null;
}

const isTrivial = (key: Iterable<unknown>): boolean => new Set(key).size < MIN_DIFFERENT;
