import { buildConsentCall } from '../audience/apiCalls.ts';
import { normalizeEmail } from '../audience/emails.ts';
import { callPeople } from '../audience/personCall.ts';
import { suppress } from '../audience/suppressions.ts';
import type { Context } from '../context.ts';
import { writeOutcome } from '../db/outcome.ts';
import type { MailState } from '../db/schema.ts';
import { StoreUnavailable, type Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { Overdue, Templates } from '../templates/templates.ts';
import { yieldTurn } from '../time.ts';
import { Batch, Breaker } from './breaker.ts';
import { type Prepared, prepare, type Update } from './compose.ts';
import { claimMails, hasHeldByHour, hasLapsed, hasMailDue, mailQueue, releaseByHour, releaseMails } from './leases.ts';
import type { MailRow } from './mails.ts';
import { scheduleNextTry } from './schedule.ts';
import { findUrlTrouble, loadMailSettings } from './settings.ts';
import type { Outcome } from './smtpReply.ts';
import { tellOfMail } from './tell.ts';
import { openTransport } from './transports/index.ts';
import { DEFAULT_CONNECTIONS, type Transport } from './transports/transport.ts';

const PER_CONNECTION = 8; // claimed at once: while some are sent, others are rendered and noted
const LOOK_MS = 200; // while mails are under way, others become due
const DOWN_MS = 15_000; // a server that can't be used is left alone for this long
const RECOVER_MS = 10_000;
const STEP_MS = 1000; // a clock set back by less is waited out
const STOP_MS = 3000; // mails under way may end until then
const CHUNK = 500;
const PUT_OFF_MS = 60_000;
const MAX_PUT_OFF = 3; // times, while its message was too slow for others
const MAX_CRASHES = 10; // in a row while sending one mail
const NO_SMTP = 'No mail server is set. Set INLET_SMTP_URL and INLET_MAIL_FROM and restart; it goes out then.';
const STUCK = 'Inlet stopped each time while sending this mail. Retry it once the cause is mended.';

type Sent = Exclude<Prepared, { instead: Update }>;
/** What came of one attempt; `instead`: nothing was sent. */
type Answer = (Sent & { outcome: Outcome }) | { instead: Update };

/** Sends what is queued. A crash between the server's yes and our commit sends a mail twice, with the same Message-ID. */
export class Mailer {
  private readonly transport: Transport | null;
  private readonly templates = new Templates(); // its own: what the API has looked through holds no mail up
  private readonly underWay = new Map<MailRow, Promise<void>>();
  private unfinished: MailRow[] = []; // not begun when the database went away: to give back once it writes again
  private readonly breaker = new Breaker();
  /** What mails were held for that may be mended since the last start. */
  private readonly mended: ('smtp' | 'publicUrl')[];
  private stopping = false;
  private downUntil = Number.NEGATIVE_INFINITY; // by performance.now()
  private lastRecovery = Number.NEGATIVE_INFINITY;
  private newestNow: number | null = null;
  private tokens = 0;
  private tokensAt = 0;

  constructor(private readonly ctx: Context) {
    this.transport = ctx.config.smtp && openTransport(ctx.config.smtp);
    this.mended = findUrlTrouble(ctx.config) === null ? ['smtp', 'publicUrl'] : ['smtp'];
  }

  /** Starts what is due and there is room for. Gives how much that was, or 1 while mails are under way. */
  readonly duty = async (now: number): Promise<number> => {
    if (this.stopping) return 0;
    await this.followClock(now);
    await this.giveBack(now);
    await this.recover(now);
    const started = await this.start(now);
    if (started || !this.underWay.size) return started;
    await Promise.race([...this.underWay.values(), Bun.sleep(LOOK_MS)]);
    return 1;
  };

  /** Waits some seconds for what is under way, then cuts it off: it is due again at the next start. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.transport?.drain();
    const cut = setTimeout(() => this.transport?.close(), STOP_MS);
    await Promise.all(this.underWay.values());
    clearTimeout(cut);
    this.transport?.close();
    await this.templates.stop();
  }

  /** Alone (SQLite), leases found at the start are void, and the clock is ours to follow. */
  private async followClock(now: number): Promise<void> {
    const { store } = this.ctx;
    const back = this.newestNow === null ? 0 : this.newestNow - now;
    if (store.kind === 'sqlite') {
      if (this.newestNow === null) await store.write(tx => mailQueue.rescue(tx, null, now));
      if (back >= STEP_MS) await store.write(tx => mailQueue.shiftClock(tx, back));
    }
    if (this.newestNow === null || back < 0 || back >= STEP_MS) this.newestNow = now;
  }

  private async recover(now: number): Promise<void> {
    const { store } = this.ctx;
    const at = performance.now();
    if (at - this.lastRecovery < RECOVER_MS) return;
    if (this.transport && this.lastRecovery === Number.NEGATIVE_INFINITY)
      for (const heldFor of this.mended)
        while ((await store.write(tx => releaseMails(tx, heldFor, now, CHUNK))) === CHUNK);
    this.lastRecovery = at;
    const { maxPerHour, paused, pauseReason } = await store.read(loadMailSettings);
    if (paused && pauseReason !== null) this.ctx.health.mailTrouble = pauseReason;
    const rows = [...this.underWay.keys()];
    if (rows.length) await store.write(tx => mailQueue.renew(tx, rows, now));
    if (await store.read(tx => hasLapsed(tx, now))) await store.write(tx => mailQueue.rescue(tx, now, now));
    if (!(await store.read(hasHeldByHour))) return;
    await store.write(tx => releaseByHour(tx, maxPerHour, now, CHUNK));
  }

  private async giveBack(now: number): Promise<void> {
    const rows = this.unfinished;
    if (!rows.length) return;
    await this.ctx.store.write(tx => mailQueue.giveBack(tx, rows, now));
    this.unfinished = this.unfinished.filter(row => !rows.includes(row));
  }

  /** How many mails may be claimed now: as the connections, the breaker and `rate` of the mail server's URL allow; some are kept for the urgent. */
  private room(now: number): { all: number; urgent: number } {
    const { connections = DEFAULT_CONNECTIONS, rate = Number.POSITIVE_INFINITY } = this.ctx.config.smtp ?? {};
    const at = performance.now();
    if (rate !== Number.POSITIVE_INFINITY) {
      this.tokens = Math.min(rate, this.tokens + ((at - this.tokensAt) / 1000) * rate);
      this.tokensAt = at;
    }
    const limit = (room: number) => {
      const most = rate === Number.POSITIVE_INFINITY ? room : Math.min(room, Math.floor(this.tokens));
      return this.breaker.limit(Math.max(0, most), this.underWay.size, now);
    };
    const most = connections * PER_CONNECTION;
    const free = most - this.underWay.size;
    const urgent = [...this.underWay.keys()].filter(row => row.transactional).length;
    const all = rate === Number.POSITIVE_INFINITY && free < most / 2 ? 0 : free; // in batches: each claim is a commit
    return { all: limit(all), urgent: limit(Math.max(all, most - urgent)) };
  }

  private async start(now: number): Promise<number> {
    const { store, config } = this.ctx;
    const room = this.room(now);
    if (room.urgent <= 0 || performance.now() < this.downUntil) return 0;
    if (!(await store.read(tx => hasMailDue(tx, now, room.all <= 0)))) return 0; // an idle server commits nothing
    const settings = await store.read(loadMailSettings);
    if (settings.paused) return 0;
    const domain = (config.smtp && config.mailFrom?.address.split('@')[1]) ?? null;
    const { rows, held } = await store.write(tx => claimMails(tx, now, room, domain, settings.maxPerHour));
    this.tokens -= rows.length;
    const batch = new Batch(rows.length);
    for (const row of rows) {
      this.begin(row, batch);
      await yieldTurn(); // rendering takes milliseconds: others get theirs in between
    }
    return rows.length + held;
  }

  private begin(row: MailRow, batch: Batch): void {
    const work = this.deliver(row, batch)
      .catch(error => {
        if (!(error instanceof StoreUnavailable))
          this.ctx.log.error({ err: error, mailId: row.id }, 'what became of a mail could not be recorded');
      })
      .finally(() => this.underWay.delete(row));
    this.underWay.set(row, work);
  }

  private async deliver(row: MailRow, batch: Batch): Promise<void> {
    const { store } = this.ctx;
    let answer: Answer | null = null;
    try {
      if (row.crashes >= MAX_CRASHES) answer = { instead: { state: 'failed', error: STUCK } };
      else if (!this.transport) answer = await this.attempt(row);
      else answer = await this.transport.runWhenFree(row.transactional, () => this.attempt(row));
    } finally {
      batch.note(answer && 'outcome' in answer ? answer.outcome : null);
    }
    answer ??= { instead: { state: 'queued', dueAt: this.ctx.now() } }; // stopping: it was not begun
    if ('instead' in answer) {
      const { instead } = answer;
      const settle = () => store.write(tx => mailQueue.settle(tx, row, instead));
      return void (await writeOutcome(settle, () => this.stopping));
    }
    await this.settle(row, answer, await this.judge(row, answer.outcome, batch));
  }

  /** Makes a mail of the rows as they are now, and sends it. */
  private async attempt(row: MailRow): Promise<Answer> {
    const { transport, ctx } = this;
    let ready: Prepared;
    try {
      ready = await this.compose(row);
    } catch (error) {
      if (error instanceof StoreUnavailable) this.unfinished.push(row);
      if (error instanceof StoreUnavailable) throw error;
      ctx.log.error({ err: error, mailId: row.id }, 'a mail could not be made');
      return { instead: decideWithoutLetter(row, error, ctx.now()) };
    }
    if ('instead' in ready) {
      if (ready.instead.heldFor === 'publicUrl') ctx.health.mailTrouble = ready.instead.error ?? null;
      return ready;
    }
    if (!transport) return { instead: { ...ready.shown, state: 'held', heldFor: 'smtp', error: NO_SMTP } };
    return { ...ready, outcome: await transport.sendNow(ready.letter) };
  }

  /** What an outcome says of the mail server, and with those of its claim of the recipient. */
  private async judge(row: MailRow, outcome: Outcome, batch: Batch): Promise<Outcome> {
    this.breaker.note(row.id, outcome, this.ctx.now());
    if (outcome.kind === 'bounced' || outcome.kind === 'failed') await batch.wait();
    const judged = this.breaker.judge(outcome, this.ctx.now());
    this.watch(row, judged);
    return judged;
  }

  private async settle(row: MailRow, { letter, shown }: Sent, outcome: Outcome): Promise<void> {
    const { store } = this.ctx;
    const now = this.ctx.now();
    let state: MailState | undefined;
    const settled = async (tx: Tx) => {
      const set = { ...shown, ...decideOutcome(row, outcome, now) };
      const told = describeOutcome(outcome, set.state);
      if (told === 'email.hardBounced') set.hardBouncedAt = now;
      if (told === 'email.softBounced') set.softBouncedAt = now;
      if (!(await mailQueue.settle(tx, row, set))) return;
      state = set.state;
      if (outcome.kind === 'bounced') await suppress(tx, letter.to, 'bounced', now);
      if (told) await tellOfMail(this.ctx, tx, told, { ...row, ...shown }, `${row.id}:${row.attempts}`, now);
    };
    const isStopping = () => this.stopping;
    if (outcome.kind !== 'bounced') await writeOutcome(() => store.write(settled), isStopping);
    // An address that is no good gets nothing more, and its contact is unsubscribed.
    else {
      const call = buildConsentCall(normalizeEmail(letter.to), false, 'bounce', { key: `${row.id}:bounced` });
      await writeOutcome(() => callPeople(this.ctx.people, { ...call, after: settled }), isStopping);
    }
    if (state !== undefined) this.ctx.counters.note(now, 'mail', state);
  }

  /** @throws AppError, Overdue */
  private async compose(row: MailRow): Promise<Prepared> {
    const make = () => prepare(this.ctx, this.templates, row, this.ctx.now());
    return make().catch(error => {
      if (error instanceof Overdue && error.wasTried) return make(); // a busy machine may have been to blame
      throw error;
    });
  }

  /** What an outcome says of the mail server. */
  private watch(row: MailRow, outcome: Outcome): void {
    const { health, log } = this.ctx;
    if (outcome.kind === 'sent') {
      health.mailTrouble = null;
      return;
    }
    log.warn({ mailId: row.id, kind: outcome.kind, error: outcome.error }, 'a mail did not go out');
    if (outcome.kind === 'down' && !this.stopping) this.downUntil = performance.now() + DOWN_MS;
    if (outcome.kind === 'down' || ('trouble' in outcome && outcome.trouble)) health.mailTrouble = outcome.error;
  }
}

/** What outgoing webhooks hear of it: a soft bounce is a mail given up after tries that another time might have mended. */
function describeOutcome(outcome: Outcome, state: MailState | undefined) {
  if (outcome.kind === 'sent') return 'sent';
  if (outcome.kind === 'bounced') return 'email.hardBounced';
  return outcome.kind === 'later' && !outcome.trouble && state === 'failed' ? 'email.softBounced' : null;
}

/** What becomes of a mail that could not be composed. One that was not even tried is put off, so that the others go first. */
function decideWithoutLetter({ failures }: MailRow, error: unknown, now: number): Update {
  const message = error instanceof AppError ? error.message : 'It could not be made; the log has the cause.';
  const later = { state: 'queued', dueAt: now + PUT_OFF_MS, error: message } as const;
  if (error instanceof AppError && error.code === 'unavailable') return later;
  if (error instanceof Overdue && !error.wasTried && failures + 1 < MAX_PUT_OFF)
    return { ...later, failures: failures + 1 };
  return { state: 'failed', error: message };
}

function decideOutcome(row: MailRow, outcome: Outcome, now: number): Update {
  if (outcome.kind === 'sent') return { state: 'sent', sentAt: now, error: null };
  const { kind, error } = outcome;
  if (kind === 'bounced' || kind === 'failed') return { state: kind, error };
  if (kind === 'down') return { state: 'queued', dueAt: now + Math.round(DOWN_MS * Math.random()), error };
  const failures = row.failures + 1;
  const dueAt = scheduleNextTry(failures, now, Math.random());
  return dueAt === null
    ? { state: 'failed', failures, error: `Given up after two days. ${error}` }
    : { state: 'queued', failures, dueAt, error };
}
