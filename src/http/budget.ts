import { reachOf } from '../net/addresses.ts';

const TOTAL = 64 * 1024 * 1024; // bytes of request bodies held at once, whoever sends them

let all = 0;
const shares = new Map<string, number>(); // bytes held, by endpoint and by peer; those who hold none are not in it

/** Bytes of request bodies held in memory now. */
export const countHeld = (): number => all;

/** Whom a body is counted to. */
export interface Sender {
  /** The endpoint or the API key it is for. */
  to: string;
  /** The address it came from; null: from this process. */
  peer: string | null;
}

/**
 * What one request holds of the bytes that all bodies may, from the first byte until it is answered. Nobody may hold more than is left
 * for the others (a dynamic threshold: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2), 1998): one endpoint gets half of
 * all at most, two a third each, and there is always room for the small bodies of one more.
 */
export class Share {
  private bytes = 0;
  private readonly owners: string[];

  constructor({ to, peer }: Sender) {
    this.owners = [to];
    // A private address is a proxy's, behind which all senders are.
    if (peer !== null && reachOf(peer) === 'public') this.owners.push(`from ${peer}`);
  }

  /** Counts `bytes` more as held. False: there is no room for them, and they are not counted. */
  take(bytes: number): boolean {
    const left = TOTAL - all - bytes;
    if (this.owners.some(owner => (shares.get(owner) ?? 0) + bytes > left)) return false;
    this.add(bytes);
    return true;
  }

  /** Gives back all that was taken. */
  release(): void {
    this.add(-this.bytes);
  }

  private add(bytes: number): void {
    this.bytes += bytes;
    all += bytes;
    for (const owner of this.owners) {
      const held = (shares.get(owner) ?? 0) + bytes;
      if (held > 0) shares.set(owner, held);
      else shares.delete(owner);
    }
  }
}
