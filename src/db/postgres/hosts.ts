import type { SQL } from 'bun';

const ANSWER_MS = 3000;

/** Null where the server only reads; else its timeline, which grows when a standby takes over (PostgreSQL manual, 25.3.6). */
const TIMELINE = `select case when pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' then null
  else left(pg_walfile_name(pg_current_wal_lsn()), 8) end as timeline`;

/** The URLs of `postgres://user@one:5432,two:5432/name`, one for each host, in their order. */
export function splitHosts(databaseUrl: string): string[] {
  const [, before, hosts, after] = /^(\w+:\/\/(?:[^/?@]*@)?)([^/?]*)(.*)$/s.exec(databaseUrl) ?? [];
  return hosts === undefined ? [databaseUrl] : hosts.split(',').map(host => `${before}${host}${after}`);
}

/** The hosts of one database, of which one writes: a primary and its standbys. */
export class Hosts {
  /** Where to connect. */
  url: string;

  /** `open`: a pool of at most that many connections. */
  constructor(
    private readonly urls: [string, ...string[]],
    private readonly open: (url: string, connections: number) => SQL,
  ) {
    this.url = urls[0];
  }

  get several(): boolean {
    return this.urls.length > 1;
  }

  /** Sets `url` to the host that writes, on the newest timeline. Null: none does now; else whether it is another one than before. */
  async findWriter(): Promise<boolean | null> {
    if (!this.several) return false;
    const timelines = await Promise.all(this.urls.map(url => this.askTimeline(url)));
    const newest = timelines.reduce((a, b) => ((b ?? '') > (a ?? '') ? b : a));
    const found = newest === null ? undefined : this.urls[timelines.indexOf(newest)];
    if (found === undefined) return null;
    const isOther = found !== this.url;
    this.url = found;
    return isOther;
  }

  private async askTimeline(url: string): Promise<string | null> {
    const sql = this.open(url, 1);
    try {
      const rows = await Promise.race([sql.unsafe(TIMELINE).simple(), Bun.sleep(ANSWER_MS)]);
      return (rows?.[0]?.timeline as string | null | undefined) ?? null;
    } catch {
      return null; // it does not answer
    } finally {
      sql.close({ timeout: 0 }).catch(() => {});
    }
  }
}
