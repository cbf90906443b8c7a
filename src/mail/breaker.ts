import type { Outcome } from './smtpReply.ts';

const WINDOW_MS = 60_000;
const ALIKE = 5; // mails that fail in the same words within the window, while none goes out
export const PAUSE_MS = 300_000;

/** An answer without what is different for each recipient and at each try: addresses, codes and ids. */
const stripDetails = (error: string) => error.toLowerCase().replace(/<[^>]*>|\S*[@\d]\S*/g, '');

/** Not what nobody's server said: a mail that could not be made. */
const isAnswer = (outcome: Exclude<Outcome, { kind: 'sent' }>) =>
  outcome.kind === 'failed' ? outcome.trouble === true : outcome.kind !== 'down';

/** The mails of one claim: whether the server takes any of them says what its refusals are worth. */
export class Batch {
  private readonly known = Promise.withResolvers<void>();

  constructor(private left: number) {}

  /** Called once for each mail, when it is known what became of it. */
  note(outcome: Outcome | null): void {
    if (--this.left <= 0 || outcome?.kind === 'sent') this.known.resolve();
  }

  /** Until one of them was taken, or all have their outcome. */
  wait(): Promise<void> {
    return this.known.promise;
  }
}

/**
 * Pauses all mail when different recipients are refused in the same words and nobody's mail is taken: that is not about them. After the
 * pause one mail at a time tries whether it is over. Times in ms since 1970.
 */
export class Breaker {
  private readonly recent: { at: number; id: string; words: string }[] = [];
  private sentAt = Number.NEGATIVE_INFINITY;
  private tripped: { words: string; at: number } | null = null;

  note(id: string, outcome: Outcome, now: number): void {
    while (this.recent[0] && !this.isRecent(this.recent[0].at, now)) this.recent.shift();
    if (outcome.kind === 'sent') {
      this.sentAt = now;
      this.tripped = null;
      this.recent.length = 0;
    } else if (isAnswer(outcome)) this.recent.push({ at: now, id, words: stripDetails(outcome.error) });
  }

  /**
   * What an outcome counts as, once those of its claim are known: where others fail alike, no address and no mail is lost to it, and
   * all mail pauses.
   */
  judge(outcome: Outcome, now: number): Outcome {
    if (outcome.kind === 'sent' || !isAnswer(outcome)) return outcome;
    const words = stripDetails(outcome.error);
    const alike = new Set(this.recent.filter(each => each.words === words).map(each => each.id)).size;
    const isTrial = this.tripped?.words === words;
    if (!isTrial && (alike < ALIKE || this.isRecent(this.sentAt, now))) return outcome;
    this.tripped = { words, at: now };
    const until = new Date(now + PAUSE_MS).toISOString();
    const error = `All mail pauses until ${until}, because the recipients are refused alike. ${outcome.error}`;
    return { kind: 'later', error, trouble: true };
  }

  /** How many mails may be begun now, of `room`. */
  limit(room: number, underWay: number, now: number): number {
    if (!this.tripped) return room;
    const isPaused = this.tripped.at <= now && now < this.tripped.at + PAUSE_MS; // a clock that was set back ends it
    return isPaused || underWay > 0 ? 0 : Math.min(room, 1);
  }

  private isRecent(at: number, now: number): boolean {
    return at <= now && now - at < WINDOW_MS;
  }
}
