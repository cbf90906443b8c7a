import type { Config } from '../config.ts';
import { findUrlTrouble } from '../mail/settings.ts';
import { openTransport } from '../mail/transports/index.ts';
import { askHealth } from './health.ts';

const TIMEOUT_MS = 3000;

export interface Finding {
  check: string;
  status: 'ok' | 'warn' | 'fail';
  message: string;
}

export const makeFinding = (check: string, status: Finding['status'], message: string): Finding => ({
  check,
  status,
  message,
});

/** What a running server says of its mail; nothing where nothing is wrong. */
export const judgeMail = (trouble: unknown): Finding[] =>
  typeof trouble === 'string' ? [makeFinding('mail', 'warn', trouble)] : [];

/** The first of the links in mails that the public URL does not pass on; null: all do. */
export async function findLostLink(url: string): Promise<string | null> {
  for (const path of ['/unsubscribe/test', '/preferences/test']) {
    const answer = await fetch(url + path, { redirect: 'manual', signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(
      () => null,
    );
    if (answer?.status !== 200 || !(await answer.text()).includes('A test link')) return path;
  }
  return null;
}

/** Whether providers and the readers of mails reach this server. */
export async function examinePublicUrl(config: Config): Promise<Finding> {
  const { publicUrl: url } = config;
  const held = findUrlTrouble(config);
  if (held !== null) return makeFinding('public URL', 'fail', held);
  const host = new URL(url).hostname;
  if (/^(localhost|127\..*|\[::1\])$/.test(host)) {
    return makeFinding(
      'public URL',
      'warn',
      `${url} is this machine only. Set INLET_PUBLIC_URL to what the providers can reach.`,
    );
  }
  if (!url.startsWith('https:'))
    return makeFinding('public URL', 'warn', `${url} is not https: providers refuse it or send in the clear.`);
  const answer = await askHealth(url);
  if (!answer)
    return makeFinding(
      'public URL',
      'warn',
      `${url} can't be reached from here. Check DNS, the proxy and its certificate.`,
    );
  const lost = await findLostLink(url);
  if (lost !== null)
    return makeFinding(
      'public URL',
      'fail',
      `${url}${lost} does not lead to Inlet: links in mails lead nowhere. Let the proxy pass it (docs/operations.md, Reverse proxy).`,
    );
  return makeFinding('public URL', 'ok', `${url} answers, links in mails too`);
}

/** Whether the mail server can be reached and logged into. */
export async function examineMailServer({ smtp, mailFrom }: Config): Promise<Finding> {
  if (!smtp)
    return makeFinding(
      'mail',
      'warn',
      'No mail server is set: mails are held. Set INLET_SMTP_URL and INLET_MAIL_FROM.',
    );
  const { host, port, user } = smtp;
  const cause = await openTransport(smtp).verify();
  if (cause === null)
    return makeFinding(
      'mail',
      'ok',
      `${host}:${port} takes mail${user === null ? '' : ' and the login'}; from ${mailFrom?.address}`,
    );
  const help = user === null ? '' : ', the user and password';
  return makeFinding('mail', 'fail', `${host}:${port}: ${cause}. Check host, port${help} and TLS in INLET_SMTP_URL.`);
}
