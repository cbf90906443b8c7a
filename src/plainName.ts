import { invalid } from './errors.ts';

/** Characters that move a terminal's cursor, break its lines or turn the direction of what follows. */
const MOVING = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/** What JSON leaves as it is, and a terminal obeys all the same. */
const OBEYED = /[\x7f-\x9f\p{Cf}\u2028\u2029]/gu;
const CONTROLS = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

const escapeCharacter = (character: string) =>
  character
    .split('') // halves of a pair apart
    .map(unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('');

/** The same JSON, with nothing in it that a terminal would obey. */
export const escapeJson = (json: string): string => json.replace(OBEYED, escapeCharacter);

/** A text to show, its control characters as `\u001b`. */
export const escapeControls = (text: string): string => text.replace(CONTROLS, escapeCharacter);

/** A name without white space around it. @throws AppError invalid when it holds control characters */
export function parseName(name: string): string {
  const trimmed = name.trim();
  if (MOVING.test(trimmed))
    throw invalid('name: holds control characters, such as a line break. Type it again without them.');
  return trimmed;
}
