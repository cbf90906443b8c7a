import type { FactStep, ProviderId, Scalar, Step, WriteStep } from './steps.ts';

export interface Knobs {
  /** How many users, and as many payers. */
  people: number;
  addresses: number;
  steps: number;
  withDeletions: boolean;
  withWrites: boolean;
  withApiDeletes: boolean;
  withLinks: boolean;
  withErasures: boolean;
  withReplays: boolean;
  withTies: boolean;
  withNamespaces: boolean;
  withUnproven: boolean;
  /** People who type addresses of others. */
  withTypedAddresses: boolean;
  withSecondEndpoint: boolean;
  withGuests: boolean;
  withCopies: boolean;
  /** Deliveries that arrive up to an hour late. */
  withDelays: boolean;
}

export const EVERYTHING: Knobs = {
  people: 5,
  addresses: 6,
  steps: 40,
  withDeletions: true,
  withWrites: true,
  withApiDeletes: true,
  withLinks: true,
  withErasures: true,
  withReplays: true,
  withTies: true,
  withNamespaces: true,
  withUnproven: true,
  withTypedAddresses: true,
  withSecondEndpoint: true,
  withGuests: true,
  withCopies: true,
  withDelays: true,
};

/** mulberry32: small, seeded, good enough. */
export class Random {
  constructor(private state: number) {}

  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  chance(p: number): boolean {
    return this.next() < p;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  shuffle<T>(items: readonly T[]): T[] {
    const mixed = [...items];
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [mixed[i], mixed[j]] = [mixed[j]!, mixed[i]!];
    }
    return mixed;
  }
}

/** The provider's own row of a person: what its events tell. */
interface Account {
  provider: ProviderId;
  namespace: string;
  id: string;
  userId: string | null;
  email: string | null;
  proven: boolean;
  firstName: string | null;
  lastName: string | null;
  plan: Scalar | null;
  changedAt: number;
  micros: number;
  isKnown: boolean;
  isGone: boolean;
}

const START = Date.UTC(2026, 10, 25, 10);
const NAMES = ['Ada', 'Berta', 'Carla', 'Dora', 'Emil', null];
const PLANS = ['free', 'trial', 'pro', 7, true];
const LISTS = ['news', 'product', 'tips'];
const GAPS = [300, 1_000, 4_000, 20_000, 45_000, 70_000, 600_000, 7_200_000, 86_400_000];
const isAuth = (provider: ProviderId) => provider === 'clerk' || provider === 'supabase';

class Generator {
  private readonly random: Random;
  private readonly steps: Step[] = [];
  private readonly accounts: Account[] = [];
  private readonly addresses: string[];
  private now = START;
  private serial = 0;

  constructor(
    seed: number,
    private readonly knobs: Knobs,
  ) {
    this.random = new Random(seed);
    this.addresses = Array.from({ length: knobs.addresses }, (_, i) => `${'abcdefghij'[i % 10]}${i}@example.com`);
    for (let i = 0; i < knobs.people; i++) this.accounts.push(this.openUser(), this.openPayer());
  }

  run(): Step[] {
    const actions: [number, () => void][] = [
      [30, () => this.emitFromPerson()],
      [this.knobs.withCopies ? 6 : 0, () => this.emitCopy()],
      [this.knobs.withGuests ? 4 : 0, () => this.emitGuest()],
      [this.knobs.withDeletions ? 4 : 0, () => this.emitDeletion()],
      [this.knobs.withWrites ? 7 : 0, () => this.write()],
      [this.knobs.withApiDeletes ? 1 : 0, () => this.deleteContact()],
      [this.knobs.withLinks ? 3 : 0, () => this.followLink()],
      [this.knobs.withReplays ? 2 : 0, () => this.replay()],
      [this.knobs.withErasures ? 0.5 : 0, () => this.erase()],
    ];
    const total = actions.reduce((sum, [weight]) => sum + weight, 0);
    while (this.steps.length < this.knobs.steps) {
      this.now += this.random.pick(GAPS);
      let left = this.random.next() * total;
      for (const [weight, act] of actions) {
        left -= weight;
        if (left < 0) {
          act();
          break;
        }
      }
    }
    return this.steps.toSorted((a, b) => a.arrivedAt - b.arrivedAt);
  }

  private openUser(): Account {
    const provider = this.random.chance(0.6) ? 'clerk' : 'supabase';
    const id = `${provider === 'clerk' ? 'user' : 'uuid'}_${++this.serial}`;
    return this.openAccount(provider, id, id);
  }

  private openPayer(): Account {
    const provider = this.random.chance(0.6) ? 'stripe' : 'polar';
    const account = this.openAccount(provider, `${provider === 'stripe' ? 'cus' : 'pol'}_${++this.serial}`, null);
    const users = this.accounts.filter(a => isAuth(a.provider));
    if (provider === 'polar' && users.length > 0 && this.random.chance(0.4)) {
      const user = this.random.pick(users);
      account.userId = user.id;
      account.namespace = user.namespace;
    }
    return account;
  }

  private openAccount(provider: ProviderId, id: string, userId: string | null): Account {
    return {
      provider,
      namespace: this.knobs.withNamespaces && this.random.chance(0.15) ? 'st' : '',
      id,
      userId,
      email: this.random.pick(this.addresses),
      proven: isAuth(provider) && !(this.knobs.withUnproven && this.random.chance(0.3)),
      firstName: this.random.pick(NAMES),
      lastName: this.random.pick(NAMES),
      plan: this.random.pick(PLANS),
      changedAt: 0,
      micros: 0,
      isKnown: false,
      isGone: false,
    };
  }

  private pickAccount(matches: (a: Account) => boolean = () => true): Account | null {
    const found = this.accounts.filter(a => !a.isGone && matches(a));
    return found.length > 0 ? this.random.pick(found) : null;
  }

  private arrive(): number {
    const late = this.knobs.withDelays && this.random.chance(0.15);
    return this.now + (late ? this.random.below(3_600_000) : this.random.below(800));
  }

  /** The next time of its row: sometimes the very same as before. */
  private touch(account: Account) {
    if (this.knobs.withTies && account.isKnown && this.random.chance(0.25)) return;
    account.changedAt = account.provider === 'stripe' ? Math.floor(this.now / 1000) * 1000 : this.now;
    account.micros = account.provider === 'supabase' ? this.random.below(1000) : 0;
  }

  private change(account: Account) {
    const what = this.random.next();
    if (what < 0.35) return;
    if (what < 0.65) {
      const others = this.addresses;
      const own = this.addresses.slice(0, 2);
      account.email = this.random.pick(this.knobs.withTypedAddresses ? others : own);
      account.proven = isAuth(account.provider) && !(this.knobs.withUnproven && this.random.chance(0.3));
    } else if (what < 0.75) account.firstName = this.random.pick(NAMES);
    else if (what < 0.85) account.plan = this.random.pick(PLANS);
    else account.proven = isAuth(account.provider);
  }

  /** Now and then something comes of somebody who is gone already. */
  private pickSpeaker(): Account | null {
    const gone = this.accounts.filter(a => a.isGone);
    const isErased = this.steps.some(s => s.kind === 'erase');
    if (gone.length > 0 && !isErased && this.random.chance(0.06)) return this.random.pick(gone);
    return this.pickAccount();
  }

  private emitFromPerson() {
    const account = this.pickSpeaker();
    if (!account) return;
    const before = { ...account };
    if (account.isKnown) this.change(account);
    this.touch(account);
    const tells = account.isKnown && (account.provider === 'stripe' || account.provider === 'supabase');
    const isWhole = account.provider === 'supabase';
    const former: FactStep['fact']['former'] = tells ? {} : null;
    for (const field of ['email', 'firstName', 'lastName'] as const)
      if (former && (isWhole || before[field] !== account[field])) former[field] = before[field];
    const formerProperties: Record<string, Scalar | null> =
      tells && (isWhole || before.plan !== account.plan) ? { plan: before.plan } : {};
    this.push(account, account.isKnown ? 1 : 0, { former }, { formerProperties });
    account.isKnown = true;
  }

  private emitCopy() {
    const account = this.pickAccount(a => !isAuth(a.provider));
    if (!account) return;
    const typed = this.knobs.withTypedAddresses && this.random.chance(0.3);
    const email = typed ? this.random.pick(this.addresses) : this.random.chance(0.7) ? account.email : null;
    const at = account.provider === 'stripe' ? Math.floor(this.now / 1000) * 1000 : this.now;
    this.push(account, 2, { authority: 'copy', email, at, micros: 0 });
  }

  private emitGuest() {
    const email = this.random.pick(this.addresses);
    const guest = { ...this.openAccount('stripe', '', null), namespace: '', email, changedAt: this.now };
    this.push(guest, 2, { authority: 'copy', personId: null, at: Math.floor(this.now / 1000) * 1000 });
  }

  private emitDeletion() {
    const account = this.pickAccount(a => a.isKnown);
    if (!account) return;
    const isRow = account.provider === 'supabase';
    if (!isRow) account.changedAt = account.provider === 'stripe' ? Math.floor(this.now / 1000) * 1000 : this.now;
    const email = account.provider === 'clerk' ? null : account.email;
    const step = this.push(account, 3, { deletion: true, email, firstName: null, lastName: null, userId: null });
    step.settings = { ...step.settings, userGroup: null, lists: [], properties: {}, formerProperties: {} };
    step.fact.proven = false;
    if (isRow) step.fact.happenedAt = step.arrivedAt;
    account.isGone = true;
    const next = isAuth(account.provider) ? this.openUser() : this.openPayer();
    if (this.random.chance(0.6)) next.email = account.email;
    this.accounts.push(next);
  }

  private push(
    account: Account,
    rank: 0 | 1 | 2 | 3,
    fact: Partial<FactStep['fact']>,
    settings: Partial<FactStep['settings']> = {},
  ): FactStep {
    const { random } = this;
    const name = account.namespace ? `${account.provider}_${account.namespace}` : account.provider;
    const step: FactStep = {
      kind: 'fact',
      arrivedAt: this.arrive(),
      endpoint: { id: `ep_${name}`, provider: account.provider, namespace: account.namespace },
      externalId: `evt_${random.below(1000)}_${++this.serial}`,
      fact: {
        authority: 'person',
        rank,
        at: account.changedAt,
        micros: account.micros,
        sentAt: account.provider === 'clerk' ? this.now : 0,
        personId: account.id,
        aliases: [],
        email: account.email,
        proven: account.proven && account.email !== null,
        former: null,
        firstName: account.firstName,
        lastName: account.lastName,
        userId: account.userId,
        deletion: false,
        ...fact,
      },
      settings: { ...this.drawSettings(account), formerProperties: {}, ...settings },
    };
    if (step.fact.personId === null || step.fact.authority === 'copy') step.fact.proven = false;
    this.steps.push(step);
    if (this.knobs.withSecondEndpoint && account.provider === 'stripe' && random.chance(0.1))
      this.steps.push({
        ...step,
        arrivedAt: this.arrive(),
        endpoint: { ...step.endpoint, id: 'ep_stripe_two' },
        settings: { ...step.settings, userGroup: random.pick(['Two', null]), lists: ['tips'] },
      });
    return step;
  }

  private drawSettings(account: { plan: Scalar | null }): Omit<FactStep['settings'], 'formerProperties'> {
    const { random } = this;
    return {
      userGroup: random.chance(0.25) ? random.pick(['Customers', 'Users', 'Buyers']) : null,
      syncNames: random.chance(0.9),
      lists: random.chance(0.2) ? [random.pick(LISTS)] : [],
      properties: account.plan !== null && random.chance(0.5) ? { plan: account.plan } : {},
      onDelete: random.pick(['unsubscribe', 'unsubscribe', 'delete', 'delete', 'ignore']),
    };
  }

  /** Somebody asked for again with today's settings. */
  private replay() {
    const facts = this.steps.filter(s => s.kind === 'fact' && s.arrivedAt < this.now) as FactStep[];
    if (facts.length === 0) return;
    const { random } = this;
    const { endpoint, externalId } = random.pick(facts);
    const same = facts.filter(f => f.endpoint.id === endpoint.id && f.externalId === externalId);
    const last = same.toSorted((a, b) => a.arrivedAt - b.arrivedAt).at(-1)!;
    const drawn = this.drawSettings({ plan: last.fact.deletion ? null : random.pick(PLANS) });
    const settings = last.fact.deletion
      ? { ...last.settings, onDelete: drawn.onDelete }
      : { ...last.settings, userGroup: drawn.userGroup, lists: drawn.lists, properties: drawn.properties };
    if (!last.fact.deletion) settings.formerProperties = {};
    this.steps.push({ ...last, arrivedAt: this.now, settings });
  }

  private write() {
    const { random } = this;
    const how = random.pick(['create', 'update', 'update', 'update', 'import'] as const);
    const step: WriteStep = { kind: 'write', arrivedAt: this.now, how };
    const user = this.pickAccount(a => a.userId !== null && a.namespace === '');
    const byUserId = user !== null && random.chance(how === 'create' ? 0.2 : 0.4);
    if (byUserId) step.userId = user.userId!;
    if (!byUserId || how !== 'update' || random.chance(0.5)) step.email = random.pick(this.addresses);
    if (random.chance(0.3)) step.firstName = random.pick(['Zoe', 'Yan', null]);
    if (random.chance(0.15)) step.userGroup = random.pick(['VIP', 'Staff']);
    if (random.chance(0.1)) step.source = 'CRM';
    if (random.chance(0.45)) step.subscribed = random.chance(0.4);
    if (random.chance(0.2)) step.properties = { plan: random.pick(['api', null]) };
    if (random.chance(0.2)) step.lists = { [random.pick(LISTS)]: random.chance(0.5) };
    this.steps.push(step);
  }

  private deleteContact() {
    const user = this.pickAccount(a => a.userId !== null && a.namespace === '');
    const by = user && this.random.chance(0.3) ? { userId: user.userId! } : { email: this.random.pick(this.addresses) };
    this.steps.push({ kind: 'delete', arrivedAt: this.now, by });
  }

  private followLink() {
    const email = this.random.pick(this.addresses);
    this.steps.push({ kind: 'link', arrivedAt: this.now, email, subscribed: this.random.chance(0.25) });
  }

  private erase() {
    this.steps.push({ kind: 'erase', arrivedAt: this.now, email: this.random.pick(this.addresses) });
  }
}

export function generateHistory(seed: number, knobs: Partial<Knobs> = {}): Step[] {
  return new Generator(seed, { ...EVERYTHING, ...knobs }).run();
}

function eventOf(step: FactStep): string {
  return `${step.endpoint.id} ${step.externalId}`;
}

/** Another order of the facts between two other steps; of one delivery the versions keep theirs. */
function mixFacts(facts: FactStep[], random: Random): FactStep[] {
  const versions = Map.groupBy(facts, eventOf);
  const mixed = random.shuffle(facts).map(fact => versions.get(eventOf(fact))!.shift()!);
  // The sender tries again: the same once more, as it stands by then.
  for (let extra = random.below(3); extra > 0 && mixed.length > 0; extra--) {
    const place = 1 + random.below(mixed.length);
    const chosen = random.pick(mixed.slice(0, place));
    const newest = mixed.slice(0, place).findLast(fact => eventOf(fact) === eventOf(chosen))!;
    mixed.splice(place, 0, newest);
  }
  return mixed;
}

/** The same facts between the same writes in another order of arrival, some of them twice. */
export function shuffle(steps: Step[], seed: number): Step[] {
  const random = new Random(seed);
  const result: Step[] = [];
  let waiting: FactStep[] = [];
  const flush = () => {
    let arrivedAt = result.at(-1)?.arrivedAt ?? 0;
    for (const step of mixFacts(waiting, random)) {
      // No event arrives before it happened.
      arrivedAt = Math.max(arrivedAt, step.fact.at, step.fact.happenedAt ?? 0);
      result.push({ ...step, arrivedAt });
    }
    waiting = [];
  };
  for (const step of steps) {
    if (step.kind === 'fact') waiting.push(step);
    else {
      flush();
      result.push(step);
    }
  }
  flush();
  return result;
}

/** Takes away what is not needed for `fails` to stay true. */
export async function shrink(steps: Step[], fails: (steps: Step[]) => boolean | Promise<boolean>): Promise<Step[]> {
  let smallest = steps;
  for (let size = Math.ceil(steps.length / 2); size >= 1; ) {
    let isSmaller = false;
    for (let from = 0; from < smallest.length; ) {
      const shorter = smallest.toSpliced(from, size);
      if (await fails(shorter)) {
        smallest = shorter;
        isSmaller = true;
      } else from += size;
    }
    if (!isSmaller || size > 1) size = size === 1 ? 0 : Math.floor(size / 2);
  }
  return smallest;
}
