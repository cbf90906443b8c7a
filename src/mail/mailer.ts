import { eq } from 'drizzle-orm';
import type { Transporter } from 'nodemailer';
import { isSuppressed, suppress } from '../audience/suppressions.ts';
import { setSubscribed } from '../audience/write.ts';
import type { Context } from '../context.ts';
import { contacts, type mails } from '../db/schema.ts';
import { StoreUnavailable } from '../db/store.ts';
import { AppError } from '../errors.ts';
import { unsubscribeUrl } from './links.ts';
import {
  anyMailDue,
  claimMails,
  MAX_A_DAY,
  type MailRow,
  mailsOfDay,
  recoverMails,
  releaseMails,
  settleMail,
} from './mails.ts';
import { getMessage } from './messages.ts';
import { type Rendered, render } from './render.ts';
import { mailSettings } from './settings.ts';
import { type Outcome, type Outgoing, openTransport, send } from './transport.ts';

const BATCH = 50;
const DOWN_MS = 15_000; // a server that can't be used is left alone for this long
const GIVE_UP_MS = 2 * 86_400_000;
const LONGEST_MS = 6 * 3_600_000;
const RECOVER_MS = 10_000;
export const NO_SMTP = 'No mail server is set. Set INLET_SMTP_URL and INLET_MAIL_FROM and restart; it goes out then.';

type Update = Partial<typeof mails.$inferInsert>;
interface Ready {
  mail: Outgoing;
  rendered: Rendered;
}

/** Sends what is queued. A crash between the server's yes and our commit sends a mail twice, with the same Message-ID. */
export class Mailer {
  private readonly transport: Transporter | null;
  private downUntil = 0;
  private lastRecovery = -Infinity;
  private released = false;
  private started = false;

  constructor(private readonly ctx: Context) {
    this.transport = ctx.config.smtp && openTransport(ctx.config.smtp);
  }

  /** One batch; how many mails it was. For the worker. */
  readonly duty = async (now: number): Promise<number> => {
    const { store, config } = this.ctx;
    await this.recover(now);
    if (now < this.downUntil || !(await store.read(tx => anyMailDue(tx, now)))) return 0;
    const settings = await store.read(mailSettings);
    if (settings.paused) return 0;
    const domain = config.mailFrom?.address.split('@')[1] ?? 'localhost';
    const claimed = await store.write(tx => claimMails(tx, now, BATCH, domain));
    await Promise.all(claimed.map(row => this.deliver(row)));
    return claimed.length;
  };

  close(): void {
    this.transport?.close();
  }

  private async recover(now: number): Promise<void> {
    const { store } = this.ctx;
    if (!this.started && store.kind === 'sqlite') await store.write(tx => recoverMails(tx, null));
    this.started = true;
    const at = performance.now();
    if (at - this.lastRecovery > RECOVER_MS) {
      this.lastRecovery = at;
      await store.write(tx => recoverMails(tx, now));
    }
    if (this.transport && !this.released) while (await store.write(tx => releaseMails(tx, NO_SMTP, now)));
    this.released = true;
  }

  private async deliver(row: MailRow): Promise<void> {
    const { store, log } = this.ctx;
    const now = this.ctx.now();
    try {
      const ready = await this.prepare(row);
      if (!('mail' in ready)) return void (await store.write(tx => settleMail(tx, row, ready)));
      const { subject, html, text: plain } = ready.rendered;
      const shown = { subject, html, plain };
      if (!this.transport) {
        await store.write(tx => settleMail(tx, row, { ...shown, state: 'held', error: NO_SMTP }));
        return;
      }
      const outcome = await send(this.transport, ready.mail);
      await this.note(row, outcome, shown, this.ctx.now());
    } catch (error) {
      if (error instanceof StoreUnavailable) return; // its lease runs out
      log.error({ err: error, mailId: row.id }, 'could not send a mail');
      const message =
        error instanceof AppError ? error.message : 'Failed; the log has the cause under the id of this mail.';
      const set: Update = { state: 'failed', error: message };
      await store
        .write(tx => settleMail(tx, row, set))
        .catch(() => log.warn({ mailId: row.id, now }, 'its lease runs out'));
    }
  }

  /** The message, or why it does not go out. @throws AppError invalid when it can't be rendered */
  private async prepare(row: MailRow): Promise<Ready | Update> {
    const { store, config, sealer } = this.ctx;
    const found = await store.read(async tx => {
      const by = row.contactId === null ? eq(contacts.email, row.recipient) : eq(contacts.id, row.contactId);
      const [contact] = await tx.select().from(contacts).where(by);
      return {
        contact,
        message: await getMessage(tx, row.emailMessageId),
        suppressed: await isSuppressed(tx, row.recipient),
        today: row.contactId && !row.transactional ? await mailsOfDay(tx, row.contactId, row.createdAt) : 0,
      };
    });
    const { contact, message } = found;
    if (found.suppressed)
      return { state: 'suppressed', error: 'The address is suppressed: mail to it bounced before.' };
    if (!row.transactional && !contact?.subscribed)
      return { state: 'suppressed', error: contact ? 'The contact is unsubscribed.' : 'The contact is gone.' };
    if (found.today > MAX_A_DAY)
      return {
        state: 'held',
        error: `More than ${MAX_A_DAY} mails to this contact within a day. Retry it to send it anyway.`,
      };
    const link = contact && !row.transactional ? unsubscribeUrl(config.publicUrl, sealer, contact.id, row.id) : '';
    const { properties = {}, ...fields } = contact ?? { email: row.recipient };
    const rendered = render(message.content, {
      contact: { ...properties, ...fields },
      event: row.data.event ?? {},
      data: row.data.data ?? {},
      unsubscribeUrl: link,
    });
    const from = config.mailFrom ?? { name: '', address: 'inlet@localhost' };
    const { fromEmail, replyToEmail } = message.content;
    const mail: Outgoing = {
      messageId: row.messageId,
      from: {
        name: rendered.fromName || from.name,
        address: fromEmail ? `${fromEmail}@${from.address.split('@')[1]}` : from.address,
      },
      replyTo: replyToEmail || null,
      to: contact && row.contactId !== null ? contact.email : row.recipient,
      subject: rendered.subject,
      html: rendered.html,
      text: rendered.text,
      unsubscribeUrl: link || null,
    };
    return { mail, rendered };
  }

  private async note(row: MailRow, outcome: Outcome, shown: Update, now: number): Promise<void> {
    const { store, log, tell } = this.ctx;
    if (outcome.kind === 'sent') {
      await store.write(tx => settleMail(tx, row, { ...shown, state: 'sent', sentAt: now, error: null }));
      return;
    }
    const { kind, error } = outcome;
    log.warn({ mailId: row.id, kind, error }, 'a mail did not go out');
    if (kind === 'down') this.downUntil = now + DOWN_MS;
    const late = now - row.createdAt > GIVE_UP_MS;
    const again = (kind === 'later' || kind === 'down') && !late;
    const attempts = kind === 'down' ? row.attempts - 1 : row.attempts;
    const wait = kind === 'down' ? DOWN_MS : Math.min(LONGEST_MS, 30_000 * 2 ** Math.min(20, row.attempts - 1));
    const set: Update = again
      ? { ...shown, state: 'queued', attempts, dueAt: now + Math.round(wait * (0.5 + Math.random() / 2)), error }
      : {
          ...shown,
          state: kind === 'bounced' ? 'bounced' : 'failed',
          error: late ? `Given up after two days. ${error}` : error,
        };
    await store.write(async tx => {
      if (!(await settleMail(tx, row, set)) || kind !== 'bounced') return;
      await suppress(tx, row.recipient, 'bounced', now);
      if (row.contactId !== null) await setSubscribed(tx, row.contactId, false, { key: row.id }, now, tell);
    });
  }
}
