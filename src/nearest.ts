/** Edits (insert, delete, replace) that turn `a` into `b`. */
function measureDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The word that `typed` was probably meant to be; null when nothing is near. */
function findNearest(typed: string, words: readonly string[]): string | null {
  let best: string | null = null;
  let least = Math.max(2, Math.floor(typed.length / 3)) + 1;
  for (const word of words) {
    const d = measureDistance(typed.slice(0, 64).toLowerCase(), word.toLowerCase());
    if (d < least) [best, least] = [word, d];
  }
  return best;
}

/** ` Did you mean X?`, or nothing. */
export function suggestWord(typed: string, words: readonly string[]): string {
  const word = findNearest(typed, words);
  return word ? ` Did you mean ${word}?` : '';
}
