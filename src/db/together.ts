import type { Shape } from './statements.ts';

type Point = Extract<Shape, { kind: 'point' }>;
type Rows = unknown[][];
type Ask = (text: string, params: unknown[]) => Promise<Rows>;

const MOST = 64; // values of one statement; a power of two, so that few texts have to be prepared

interface Wanted {
  params: unknown[];
  resolve(rows: Rows): void;
  reject(error: unknown): void;
}

/**
 * Reads by key that are asked for at the same time. Those that differ in one value only become one statement, `… in ($1, $2, …)`, whose
 * rows go to who asked for them: half of the time of a small read is the way to the server and back.
 */
export class Together {
  private waiting = new Map<string, { shape: Point; wanted: Wanted[] }>();

  constructor(private readonly ask: Ask) {}

  /** Sent with the others of this turn. Rejects with what the server threw. */
  read(text: string, shape: Point, params: unknown[]): Promise<Rows> {
    if (!this.waiting.size) setImmediate(() => this.send());
    const { promise, resolve, reject } = Promise.withResolvers<Rows>();
    const known = this.waiting.get(text);
    const wanted = { params, resolve, reject };
    if (known) known.wanted.push(wanted);
    else this.waiting.set(text, { shape, wanted: [wanted] });
    return promise;
  }

  private send(): void {
    const all = this.waiting;
    this.waiting = new Map();
    for (const [text, { shape, wanted }] of all) {
      const column = columnThatDiffers(shape, wanted);
      if (column === null) for (const one of wanted) this.ask(text, one.params).then(one.resolve, one.reject);
      else while (wanted.length) this.merge(shape, column, wanted.splice(0, MOST));
    }
  }

  private merge(shape: Point, column: string, wanted: Wanted[]): void {
    const at = shape.where.get(column) ?? 0;
    const fixed = [...shape.where].filter(([name]) => name !== column);
    const values = wanted.map(one => one.params[at]);
    while (values.length & (values.length - 1)) values.push(values[0]);
    const params = [...fixed.map(([, n]) => wanted[0]?.params[n]), ...values];
    this.ask(textOf(shape, column, values.length), params).then(
      rows => {
        const found = Map.groupBy(rows, row => String(row.pop()));
        const of = (value: unknown) => (value === null ? undefined : found.get(String(value))); // null equals nothing
        for (const one of wanted) one.resolve(of(one.params[at]) ?? []);
      },
      error => {
        for (const one of wanted) one.reject(error);
      },
    );
  }
}

/** Null when there is one read only, or when they differ in more than one column. */
function columnThatDiffers({ where }: Point, wanted: Wanted[]): string | null {
  if (wanted.length < 2) return null;
  const first = wanted[0]?.params ?? [];
  const differ = [...where].filter(([, at]) => wanted.some(one => one.params[at] !== first[at]));
  return differ.length === 1 ? (differ[0]?.[0] ?? null) : null;
}

const texts = new WeakMap<Point, Map<string, string>>();

/** `select …, column from t where other = $1 and column in ($2, …)` */
function textOf(shape: Point, column: string, count: number): string {
  const known = texts.get(shape) ?? new Map<string, string>();
  texts.set(shape, known);
  let text = known.get(`${column} ${count}`);
  if (!text) {
    const fixed = [...shape.where.keys()].filter(name => name !== column);
    const list = Array.from({ length: count }, (_, i) => `$${fixed.length + i + 1}`).join(', ');
    const conditions = [...fixed.map((name, i) => `"${name}" = $${i + 1}`), `"${column}" in (${list})`];
    const columns = [...shape.columns, column].map(name => `"${name}"`).join(', ');
    text = `select ${columns} from "${shape.table}" where ${conditions.join(' and ')}`;
    known.set(`${column} ${count}`, text);
  }
  return text;
}
