import { invalid } from './errors.ts';

/** Characters that move a terminal's cursor, break its lines or turn the direction of what follows. */
const MOVING = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;

/** A name without white space around it. @throws AppError invalid when it holds control characters */
export function plainName(name: string): string {
  const trimmed = name.trim();
  if (MOVING.test(trimmed))
    throw invalid('name: holds control characters, such as a line break. Type it again without them.');
  return trimmed;
}
