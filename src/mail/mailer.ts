import { consentCall } from '../audience/apiCalls.ts';
import { normalEmail } from '../audience/emails.ts';
import { callPeople } from '../audience/personCall.ts';
import { suppress } from '../audience/suppressions.ts';
import type { Context } from '../context.ts';
import type { MailState } from '../db/schema.ts';
import { StoreUnavailable, type Tx } from '../db/store.ts';
import { AppError } from '../errors.ts';
import {
  anyHeldByHour,
  anyLapsed,
  anyMailDue,
  claimMails,
  recoverMails,
  releaseByHour,
  releaseMails,
  renewMails,
  setBackMails,
  settleMail,
} from './leases.ts';
import { prepare, type Update } from './letter.ts';
import type { MailRow } from './mails.ts';
import { nextTry } from './schedule.ts';
import { mailSettings } from './settings.ts';
import { tellOfMail } from './tell.ts';
import { CONNECTIONS, Smtp } from './transport.ts';
import type { Outcome } from './verdict.ts';

const PER_CONNECTION = 8; // claimed at once: while some are sent, others are rendered and noted
const LOOK_MS = 200; // while mails are under way, others become due
const DOWN_MS = 15_000; // a server that can't be used is left alone for this long
const RECOVER_MS = 10_000;
const STEP_MS = 1000; // a clock set back by less is waited out
const STOP_MS = 3000; // mails under way may end until then
const CHUNK = 500;
const MAX_CRASHES = 10; // in a row while sending one mail
export const NO_SMTP = 'No mail server is set. Set INLET_SMTP_URL and INLET_MAIL_FROM and restart; it goes out then.';
const STUCK = 'Inlet stopped each time while sending this mail. Retry it once the cause is mended.';

const turn = () => new Promise<void>(resolve => setImmediate(resolve));

/** Sends what is queued. A crash between the server's yes and our commit sends a mail twice, with the same Message-ID. */
export class Mailer {
  private readonly smtp: Smtp | null;
  private readonly underWay = new Map<MailRow, Promise<void>>();
  private stopping = false;
  private downUntil = Number.NEGATIVE_INFINITY; // by performance.now()
  private lastRecovery = Number.NEGATIVE_INFINITY;
  private newestNow: number | null = null;
  private tokens = 0;
  private tokensAt = 0;

  constructor(private readonly ctx: Context) {
    this.smtp = ctx.config.smtp && new Smtp(ctx.config.smtp);
  }

  /** Starts what is due and there is room for. Gives how much that was, or 1 while mails are under way. */
  readonly duty = async (now: number): Promise<number> => {
    if (this.stopping) return 0;
    await this.followClock(now);
    await this.recover(now);
    const started = await this.start(now);
    if (started || !this.underWay.size) return started;
    await Promise.race([...this.underWay.values(), Bun.sleep(LOOK_MS)]);
    return 1;
  };

  /** Waits some seconds for what is under way, then cuts it off: it is due again at the next start. */
  async stop(): Promise<void> {
    this.stopping = true;
    const cut = setTimeout(() => this.smtp?.close(), STOP_MS);
    await Promise.all(this.underWay.values());
    clearTimeout(cut);
    this.smtp?.close();
  }

  /** Alone (SQLite), leases found at the start are void, and the clock is ours to follow. */
  private async followClock(now: number): Promise<void> {
    const { store } = this.ctx;
    const back = this.newestNow === null ? 0 : this.newestNow - now;
    if (store.kind === 'sqlite') {
      if (this.newestNow === null) await store.write(tx => recoverMails(tx, null, now));
      if (back >= STEP_MS) await store.write(tx => setBackMails(tx, back));
    }
    if (this.newestNow === null || back < 0 || back >= STEP_MS) this.newestNow = now;
  }

  private async recover(now: number): Promise<void> {
    const { store } = this.ctx;
    const at = performance.now();
    if (at - this.lastRecovery < RECOVER_MS) return;
    if (this.smtp && this.lastRecovery === Number.NEGATIVE_INFINITY)
      while ((await store.write(tx => releaseMails(tx, 'smtp', now, CHUNK))) === CHUNK);
    this.lastRecovery = at;
    const ids = [...this.underWay.keys()].map(row => row.id);
    if (ids.length) await store.write(tx => renewMails(tx, ids, now));
    if (await store.read(tx => anyLapsed(tx, now))) await store.write(tx => recoverMails(tx, now, now));
    if (!(await store.read(anyHeldByHour))) return;
    const { maxPerHour } = await store.read(mailSettings);
    await store.write(tx => releaseByHour(tx, maxPerHour, now, CHUNK));
  }

  /** How many mails may be claimed now: as the connections, and `rate` of the mail server's URL, allow. */
  private room(): number {
    const { connections = CONNECTIONS, rate } = this.ctx.config.smtp ?? {};
    const most = connections * PER_CONNECTION;
    const free = most - this.underWay.size;
    if (rate === undefined) return free < most / 2 ? 0 : free; // in batches: each claim is a commit
    const at = performance.now();
    this.tokens = Math.min(rate, this.tokens + ((at - this.tokensAt) / 1000) * rate);
    this.tokensAt = at;
    return Math.min(free, Math.floor(this.tokens));
  }

  private async start(now: number): Promise<number> {
    const { store, config } = this.ctx;
    const room = this.room();
    if (room <= 0 || performance.now() < this.downUntil) return 0;
    if (!(await store.read(tx => anyMailDue(tx, now)))) return 0; // an idle server commits nothing
    const settings = await store.read(mailSettings);
    if (settings.paused) return 0;
    const domain = (config.smtp && config.mailFrom?.address.split('@')[1]) ?? null;
    const { rows, held } = await store.write(tx => claimMails(tx, now, room, domain, settings.maxPerHour));
    this.tokens -= rows.length;
    for (const row of rows) {
      this.begin(row);
      await turn(); // rendering takes milliseconds: others get theirs in between
    }
    return rows.length + held;
  }

  private begin(row: MailRow): void {
    const work = this.deliver(row)
      .catch(error => {
        if (!(error instanceof StoreUnavailable))
          this.ctx.log.error({ err: error, mailId: row.id }, 'what became of a mail could not be recorded');
      })
      .finally(() => this.underWay.delete(row));
    this.underWay.set(row, work);
  }

  private async deliver(row: MailRow): Promise<void> {
    const { store, log } = this.ctx;
    const settle = (set: Update) => store.write(tx => settleMail(tx, row, set));
    if (row.crashes >= MAX_CRASHES) return void (await settle({ state: 'failed', error: STUCK }));
    let ready: Awaited<ReturnType<typeof prepare>>;
    try {
      ready = await prepare(this.ctx, row, this.ctx.now());
    } catch (error) {
      if (error instanceof StoreUnavailable) throw error; // its lease runs out
      log.error({ err: error, mailId: row.id }, 'a mail could not be made');
      const message = error instanceof AppError ? error.message : 'It could not be made; the log has the cause.';
      return void (await settle({ state: 'failed', error: message }));
    }
    if ('instead' in ready) return void (await settle(ready.instead));
    const { letter, shown } = ready;
    if (!this.smtp) return void (await settle({ ...shown, state: 'held', heldFor: 'smtp', error: NO_SMTP }));
    const outcome = await this.smtp.send(letter);
    this.watch(row, outcome);
    const now = this.ctx.now();
    const settled = async (tx: Tx) => {
      const set = { ...shown, ...became(row, outcome, now) };
      if (!(await settleMail(tx, row, set))) return;
      if (outcome.kind === 'bounced') await suppress(tx, letter.to, 'bounced', now);
      const told = toldOf(outcome, set.state);
      if (told) await tellOfMail(this.ctx, tx, told, { ...row, ...shown }, `${row.id}:${row.attempts}`, now);
    };
    if (outcome.kind !== 'bounced') return void (await store.write(settled));
    // An address that is no good gets nothing more, and its contact is unsubscribed.
    const call = consentCall(normalEmail(letter.to), false, 'bounce', { key: `${row.id}:bounced` });
    await callPeople(this.ctx.people, { ...call, after: settled });
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
    if (outcome.kind === 'down' || (outcome.kind === 'later' && outcome.trouble)) health.mailTrouble = outcome.error;
  }
}

/** What outgoing webhooks hear of it: a soft bounce is a mail given up after tries that another time might have mended. */
function toldOf(outcome: Outcome, state: MailState | undefined) {
  if (outcome.kind === 'sent') return 'sent';
  if (outcome.kind === 'bounced') return 'email.hardBounced';
  return outcome.kind === 'later' && !outcome.trouble && state === 'failed' ? 'email.softBounced' : null;
}

function became(row: MailRow, outcome: Outcome, now: number): Update {
  if (outcome.kind === 'sent') return { state: 'sent', sentAt: now, error: null };
  const { kind, error } = outcome;
  if (kind === 'bounced' || kind === 'failed') return { state: kind, error };
  if (kind === 'down') return { state: 'queued', dueAt: now + Math.round(DOWN_MS * Math.random()), error };
  const failures = row.failures + 1;
  const dueAt = nextTry(failures, now, Math.random());
  return dueAt === null
    ? { state: 'failed', failures, error: `Given up after two days. ${error}` }
    : { state: 'queued', failures, dueAt, error };
}
