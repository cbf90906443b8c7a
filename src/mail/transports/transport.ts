import type { MailScheme, SmtpServer } from '../../variables.ts';
import type { Outcome } from '../smtpReply.ts';

/** A message ready to go out, to one recipient. */
export interface Letter {
  messageId: string;
  from: { name: string; address: string };
  replyTo: string | null;
  to: string;
  subject: string;
  /** null: text only. */
  html: string | null;
  text: string;
  /** RFC 8058; null: transactional. */
  unsubscribeUrl: string | null;
  /** Further headers, by which a mail provider's events name it. */
  marks?: Record<string, string>;
}

/** At once, where the URL does not say. */
export const DEFAULT_CONNECTIONS = 5;

/** A way out for mails. What it can't send it tells by the outcome: nothing here throws. */
export interface Transport {
  /** Sends a letter as soon as there is a connection. */
  send(letter: Letter): Promise<Outcome>;
  /**
   * Does `work`, which may send one letter with `sendNow`, as soon as a connection may be used or opened; what is urgent goes first.
   * Null: Inlet is being stopped, nothing was done.
   */
  runWhenFree<T>(urgent: boolean, work: () => Promise<T>): Promise<T | null>;
  /** Within `runWhenFree`. */
  sendNow(letter: Letter): Promise<Outcome>;
  /** Connects, logs in and leaves. Gives why it can't, in the server's words without the password, or null. */
  verify(): Promise<string | null>;
  /** Begins nothing more; what is under way may end. */
  drain(): void;
  /** Ends all connections; what is under way ends as `down`, and nothing more is begun. */
  close(): void;
}

/** One kind of transport, in one file. */
export interface TransportKind {
  /** Of the URLs that it is for. */
  schemes: MailScheme[];
  open(server: SmtpServer): Transport;
}
