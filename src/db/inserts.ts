import type { Shape } from './statements.ts';

type Insert = Extract<Shape, { kind: 'insert' }>;

interface Group {
  shape: Insert;
  rows: unknown[][];
}

const MOST_ROWS = 64; // of one statement; a power of two, so that few texts have to be prepared

/** Inserts of one transaction that wait, to go out several rows at a time. Whatever could see them must wait for `flush`. */
export class Inserts {
  private readonly groups = new Map<string, Group>();

  constructor(private readonly send: (text: string, params: unknown[]) => void) {}

  add(text: string, shape: Insert, params: unknown[]): void {
    for (const [other, group] of this.groups) {
      if (other === text || group.shape.table !== shape.table) continue;
      this.sendAll(group); // another kind of insert into this table may not pass
      this.groups.delete(other);
    }
    const group = this.groups.get(text);
    const at = shape.key === null ? -1 : (shape.set.get(shape.key) ?? -1);
    const twice = at >= 0 && group?.rows.some(row => row[at] === params[at]); // one statement may not update a row twice
    if (!group) this.groups.set(text, { shape, rows: [params] });
    else {
      if (twice) this.sendAll(group);
      group.rows.push(params);
    }
  }

  flush(): void {
    for (const group of this.groups.values()) this.sendAll(group);
    this.groups.clear();
  }

  private sendAll({ shape, rows }: Group): void {
    const width = shape.set.size;
    while (rows.length) {
      const size = Math.min(MOST_ROWS, 2 ** Math.floor(Math.log2(rows.length)));
      const part = rows.splice(0, size);
      this.send(`${shape.head}${valuesOf(width, size)}${shape.tail}`, part.flat());
    }
  }
}

const valueTexts = new Map<string, string>();

/** `($1, $2), ($3, $4), …` */
function valuesOf(width: number, rows: number): string {
  const name = `${width}x${rows}`;
  let text = valueTexts.get(name);
  if (!text) {
    const row = (n: number) => `(${Array.from({ length: width }, (_, i) => `$${n * width + i + 1}`).join(', ')})`;
    text = Array.from({ length: rows }, (_, n) => row(n)).join(', ');
    valueTexts.set(name, text);
  }
  return text;
}
