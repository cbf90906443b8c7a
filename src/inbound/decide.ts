import type { Fact, Ignored } from '../providers/provider.ts';
import type { Live } from './live.ts';

/** What can be said without the database: ignored with the reason, or the fact that will be applied. */
export type Decision = { status: 'ignored'; message: string } | { status: 'queued'; message: string; fact: Fact };

export function decide(
  live: Live,
  redacted: unknown,
  seen: { type: string; at: number; externalId: string },
): Decision {
  const fact = live.provider.read(redacted, live.settings, seen);
  if (isIgnored(fact)) return { status: 'ignored', message: fact.ignored };
  const type = fact.settingsType ?? seen.type;
  if (!live.events[type]?.enabled) {
    return {
      status: 'ignored',
      message: `Ignored: ${type} is switched off for this endpoint. Enable it under events to apply it.`,
    };
  }
  if (fact.personId === null && fact.email === null && !fact.aliases.length) {
    return { status: 'ignored', message: `Ignored: this ${type} names no person: no address and no id of one.` };
  }
  const who = fact.email ?? `${fact.personId ?? fact.aliases[0]}, as soon as that person is known`;
  const message = live.paused
    ? 'Stored. The endpoint is paused; it is applied when the endpoint is resumed'
    : `Accepted: ${type} will be applied to ${who}`;
  return { status: 'queued', message, fact };
}

export const isIgnored = (value: object): value is Ignored => 'ignored' in value;

/** Whether the person behind a fact may have to be asked for over the network first. */
export const needsLookup = ({ provider, settings }: Live, fact: Fact): boolean =>
  fact.email === null && !fact.deletion && provider.lookup !== undefined && Boolean(settings.apiKey);
