import { query } from '../db/sets.ts';
import type { Store, Tx } from '../db/store.ts';
import type { PropertyType } from './coerce.ts';
import type { Definitions } from './project.ts';

const CHECK_EVERY_MS = 500; // another process's change is seen within a second

/** Which lists and custom properties there are, as of at most half a second ago. */
export class DefinitionsCache {
  private lists = new Set<string>();
  private types = new Map<string, PropertyType>();
  private version = -1;
  private checkedAt = Number.NEGATIVE_INFINITY;
  private stale = true;

  constructor(private readonly store: Store) {}

  /** After a change of our own. */
  invalidate(): void {
    this.stale = true;
  }

  /** Properties that were just made. */
  noteProperties(made: Iterable<[string, PropertyType]>): void {
    for (const [key, type] of made) if (!this.types.has(key)) this.types.set(key, type);
  }

  /** `lists`: ids that somebody names; one that is not known is looked for. */
  async read(tx: Tx, lists: string[]): Promise<Definitions & { propertyCount: number }> {
    const at = performance.now();
    if (at - this.checkedAt > CHECK_EVERY_MS) {
      this.checkedAt = at;
      const version = await this.store.version();
      if (version !== this.version) this.stale = true;
      this.version = version;
    }
    if (this.stale || lists.some(id => !this.lists.has(id))) await this.load(tx);
    const { lists: known, types } = this;
    return { hasList: id => known.has(id), typeOf: key => types.get(key), propertyCount: types.size };
  }

  private async load(tx: Tx): Promise<void> {
    this.stale = false;
    try {
      this.lists = new Set((await query(tx, 'select id from lists', [])).map(row => row[0] as string));
      const rows = await query(tx, 'select key, type from properties', []);
      this.types = new Map(rows.map(row => [row[0] as string, row[1] as PropertyType]));
    } catch (error) {
      this.stale = true;
      throw error;
    }
  }
}
