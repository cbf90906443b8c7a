import { Model } from './model.ts';
import type { Audience, DeleteStep, FactStep, LinkStep, ModelContact, ProviderId, Step, WriteStep } from './steps.ts';

const START = Date.UTC(2026, 10, 25, 10);
const PROVIDERS: Record<string, ProviderId> = { cus: 'stripe', pol: 'polar', user: 'clerk', uuid: 'supabase' };
const RANKS = { created: 0, updated: 1, other: 2, deleted: 3 } as const;

let serial = 0;

/** Seconds after the start of the story, as ms since 1970. */
export function timeOf(second: number): number {
  return START + second * 1000;
}

export interface FactOptions {
  type?: keyof typeof RANKS;
  /** Arrives then, if not at once. */
  arrives?: number;
  namespace?: string;
  endpoint?: string;
  externalId?: string;
  fact?: Partial<FactStep['fact']>;
  settings?: Partial<FactStep['settings']>;
}

/** An event of `who`: "cus_…", "pol_…", "user_…", "uuid_…", or "guest". Users' addresses are proven unless said otherwise. */
export function tellFact(second: number, who: string, email: string | null, options: FactOptions = {}): FactStep {
  const provider = PROVIDERS[who.split('_')[0]!] ?? 'stripe';
  const { type = 'updated', namespace = '' } = options;
  const isUser = provider === 'clerk' || provider === 'supabase';
  const isGuest = who === 'guest';
  return {
    kind: 'fact',
    arrivedAt: timeOf(options.arrives ?? second),
    endpoint: { id: options.endpoint ?? `ep_${provider}${namespace}`, provider, namespace },
    externalId: options.externalId ?? `evt_${String(++serial).padStart(4, '0')}`,
    fact: {
      authority: isGuest ? 'copy' : 'person',
      rank: RANKS[type],
      at: timeOf(second),
      micros: 0,
      sentAt: 0,
      personId: isGuest ? null : who,
      aliases: [],
      email,
      proven: isUser && email !== null && type !== 'deleted',
      former: null,
      firstName: null,
      lastName: null,
      userId: isUser ? who : null,
      deletion: type === 'deleted',
      ...options.fact,
    },
    settings: {
      userGroup: null,
      syncNames: true,
      lists: [],
      properties: {},
      formerProperties: {},
      onDelete: 'unsubscribe',
      ...options.settings,
    },
  };
}

/** The same with an address that nobody verified. */
export function tellUnproven(second: number, who: string, email: string, options: FactOptions = {}): FactStep {
  return tellFact(second, who, email, { ...options, fact: { ...options.fact, proven: false } });
}

/** A payment's own word on its customer. */
export function tellCopy(second: number, who: string, email: string | null, options: FactOptions = {}): FactStep {
  return tellFact(second, who, email, { type: 'other', ...options, fact: { authority: 'copy', ...options.fact } });
}

export function writeContact(
  second: number,
  how: WriteStep['how'],
  fields: Omit<WriteStep, 'kind' | 'arrivedAt' | 'how'>,
): WriteStep {
  return { kind: 'write', arrivedAt: timeOf(second), how, ...fields };
}

export function removeContact(second: number, by: DeleteStep['by']): DeleteStep {
  return { kind: 'delete', arrivedAt: timeOf(second), by };
}

export function clickLink(second: number, email: string, subscribed = false): LinkStep {
  return { kind: 'link', arrivedAt: timeOf(second), email, subscribed };
}

/** Which implementation the worked examples are about; the core and the model take turns. */
export type Maker = () => Audience;
let make: Maker = () => new Model();

export function useAudience(maker: Maker) {
  make = maker;
}

export function makeAudience(): Audience {
  return make();
}

export function runSteps(steps: Step[]): ModelContact[] {
  const audience = make();
  for (const step of steps) audience.take(step);
  return audience.contacts() as ModelContact[];
}

/** The contact that shows an address, or undefined. */
export function findShown(steps: Step[], email: string): ModelContact | undefined {
  return runSteps(steps).find(c => c.email === email);
}

export function listShown(steps: Step[]): string[] {
  return runSteps(steps).map(c => c.email);
}
