const BORDER = /^[\s\p{Cf}]+|[\s\p{Cf}]+$/gu;
const INVISIBLE = /(?![\t\n\r ])[\s\p{Cf}\p{Cc}\u3164\uffa0]/u;

/** Without spaces and invisible characters at both ends. */
export const trimInvisible = (text: string): string => text.replace(BORDER, '');

/** The first character of a text that nobody sees, such as `U+200B`, or null. */
export function findInvisible(text: string): string | null {
  const sign = INVISIBLE.exec(text)?.[0];
  return sign === undefined ? null : `U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
