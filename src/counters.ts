const MINUTE_MS = 60_000;

/** One count of a minute, as it is written down. `total`: what was added up beside, µs. */
export interface Counted {
  at: number;
  kind: string;
  name: string;
  amount: number;
  total: number;
}

/** Webhooks of one type at one endpoint. */
export interface Arrival {
  endpointId: string;
  type: string;
  outcome: 'applied' | 'ignored';
  amount: number;
  lastAt: number;
  /** Delivery. */
  lastId: string;
  /** Why it was ignored; empty where it was applied. */
  message: string;
}

const MOST_TYPES = 2000; // endpoints and types between two writings

/** What this process counted and has not written down yet. Several instances add up in the database; a kill loses some seconds. */
export class Counters {
  private counts = new Map<string, Counted>();
  private arrivals = new Map<string, Arrival>();

  /** Counts one happening. `now` and `ms` in ms. */
  note(now: number, kind: string, name: string, ms = 0): void {
    const at = Math.floor(now / MINUTE_MS) * MINUTE_MS;
    const key = `${at} ${kind} ${name}`;
    const known = this.counts.get(key);
    const total = Math.round(ms * 1000);
    if (!known) this.counts.set(key, { at, kind, name, amount: 1, total });
    else {
      known.amount++;
      known.total += total;
    }
  }

  /** Counts a verified webhook by its type. */
  noteArrival(one: Omit<Arrival, 'amount'>, amount = 1): void {
    const key = `${one.endpointId} ${one.outcome} ${one.type}`;
    const known = this.arrivals.get(key);
    if (!known && this.arrivals.size >= MOST_TYPES) return;
    const newer = known && known.lastId > one.lastId ? known : one;
    this.arrivals.set(key, { ...newer, amount: (known?.amount ?? 0) + amount });
  }

  takeArrivals(): Arrival[] {
    const taken = [...this.arrivals.values()];
    this.arrivals = new Map();
    return taken;
  }

  /** Hands over what was counted so far. */
  take(): Counted[] {
    const taken = [...this.counts.values()];
    this.counts = new Map();
    return taken;
  }

  /** Takes back what could not be written down. */
  restore(rows: Counted[]): void {
    for (const row of rows) {
      const key = `${row.at} ${row.kind} ${row.name}`;
      const known = this.counts.get(key);
      if (!known) this.counts.set(key, row);
      else {
        known.amount += row.amount;
        known.total += row.total;
      }
    }
  }
}
