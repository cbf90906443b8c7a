const SKEWS_TO_BELIEVE = 3;
const FORGOTTEN_AFTER_MS = 3_600_000;
const AGREE_WITHIN_S = 300;

interface Skewed {
  fingerprint: string;
  /** By the sender's clock, in seconds. */
  sentAt: number;
  seconds: number;
  at: number;
}

/**
 * Right signatures with a wrong time. Three different requests of different times, which agree: the senders are right, our clock is
 * not. One captured request, sent again and again, is one.
 */
export class ClockEvidence {
  private seen: Skewed[] = [];

  /** `seconds` the sender is ahead (+) or behind (-). */
  add(fingerprint: string, seconds: number, now: number): void {
    const sentAt = Math.floor(now / 1000) + seconds;
    const others = this.fresh(now).filter(each => each.fingerprint !== fingerprint && each.sentAt !== sentAt);
    this.seen = [...others, { fingerprint, sentAt, seconds, at: now }].slice(-SKEWS_TO_BELIEVE);
  }

  clear(): void {
    if (this.seen.length) this.seen = [];
  }

  /** Seconds our clock is ahead (+) or behind (-); null while nothing speaks against it. */
  skewSeconds(now: number): number | null {
    const skews = this.fresh(now)
      .map(each => each.seconds)
      .sort((a, b) => a - b);
    const [least = 0, middle = 0, most = 0] = skews;
    return skews.length < SKEWS_TO_BELIEVE || most - least > AGREE_WITHIN_S ? null : -middle;
  }

  private fresh(now: number): Skewed[] {
    return this.seen.filter(each => Math.abs(now - each.at) < FORGOTTEN_AFTER_MS);
  }
}
