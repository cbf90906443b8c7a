import type { Fact, Ignored, MailReport } from '../providers/provider.ts';
import type { ReadyEndpoint } from './endpointCache.ts';

/**
 * What can be said without the database. `ignored` with the reason; `final` where no settings could change it, so that its body is not
 * kept. `queued`: the fact that will be applied. `reported`: what will be noted of a mail.
 */
export type Decision =
  | { status: 'ignored'; message: string; final: boolean }
  | { status: 'queued'; message: string; fact: Fact }
  | { status: 'reported'; message: string; report: MailReport };

export function decide(
  live: ReadyEndpoint,
  redacted: unknown,
  seen: { type: string; at: number; externalId: string },
): Decision {
  const fact = live.provider.read(redacted, live.settings, seen);
  const type = (isFact(fact) ? fact.settingsType : null) ?? seen.type;
  const known = live.provider.types.some(each => each.type === seen.type);
  const refuse = (message: string): Decision => ({ status: 'ignored', message, final: !known });
  if (isIgnored(fact)) return refuse(fact.ignored);
  if (!live.events[type]?.enabled)
    return refuse(`Ignored: ${type} is switched off for this endpoint. Enable it under events to apply it.`);
  if (!isFact(fact)) {
    const about = fact.recipients[0] ?? fact.mailIds[0];
    return {
      status: 'reported',
      message: `Accepted: ${type} will be noted of the mail to ${about}, if Inlet sent it`,
      report: fact,
    };
  }
  if (fact.personId === null && fact.email === null && !fact.payments.length)
    return refuse(`Ignored: this ${type} names no person: no address and no id of one.`);
  const who = fact.email ?? `${fact.personId ?? fact.payments[0]}, as soon as that person is known`;
  return { status: 'queued', message: `Accepted: ${type} will be applied to ${who}`, fact };
}

const isIgnored = (value: object): value is Ignored => 'ignored' in value;

/** Whether a provider's event is about a person. */
export const isFact = (value: Fact | MailReport | Ignored): value is Fact => !('ignored' in value || 'report' in value);

/** Whether the person behind a fact may have to be asked for over the network first. */
export const needsLookup = ({ provider, settings }: ReadyEndpoint, fact: Fact): boolean =>
  fact.email === null && !fact.deletion && provider.lookup !== undefined && Boolean(settings.apiKey);
