const MAX_KEPT = 512;

/**
 * Bodies that were just logged, so that applying them at once needs no second look at the disk. A cache of what is committed,
 * nothing more: whoever is not found here is read from the database.
 */
export class RecentBodies {
  private readonly kept = new Map<string, unknown>();

  /** Keeps a redacted, parsed body, as long as few wait. */
  put(deliveryId: string, body: unknown): void {
    if (this.kept.size < MAX_KEPT) this.kept.set(deliveryId, body);
  }

  /** The body, once. Undefined: read it. */
  take(deliveryId: string): unknown {
    const body = this.kept.get(deliveryId);
    this.kept.delete(deliveryId);
    return body;
  }
}
