import type { Scalar } from '../db/schema.ts';
import { pickEmail as plausible } from '../providers/pick.ts';
import type { ConsentChange } from './consent.ts';
import {
  type Contribution,
  compareTexts,
  type IdentityClass,
  type K,
  makeRegisters,
  type OnDelete,
  type Registers,
} from './registers.ts';
import { readAddress } from './views.ts';

/** Registers as releases before 0.2 wrote them: versions by field instead of facts. */
export interface FormerRegisters {
  class: IdentityClass;
  personId: string | null;
  links?: Record<string, string>;
  email?: Version<string>[];
  firstName?: Version<string | null>[];
  lastName?: Version<string | null>[];
  userId?: Version<string>[];
  props?: Record<string, Version<Scalar | null>[]>;
  lists?: Record<string, string>;
  relisted?: Record<string, string>;
  origin?: { k: string; source: string; userGroup: string } | null;
  died?: string | null;
  buried?: { k: string; onDelete: OnDelete } | null;
  mapped?: { k: string; values: Record<string, Scalar | null> } | null;
  said?: {
    source: Version<string>[];
    userGroup: Version<string>[];
    subscribed: Version<boolean>[];
    lists: Record<string, Version<boolean>[]>;
    claims: Version<string>[];
    erased: string | null;
  };
}

interface Version<T> {
  a: 0 | 1;
  k: string;
  v: T;
}

interface Converted {
  registers: Registers;
  /** Payments that find it: `stripe:pi_…`. */
  payments: string[];
  /** What the API said about being mailed. */
  consent: ConsentChange[];
}

export const isFormer = (registers: object): registers is FormerRegisters => !('facts' in registers);

/** `0001764590000000.1.evt_1` with µs and an endpoint, which nobody noted then. */
const convertKey = (k: string): K => `${k.slice(0, 16)}000${k.slice(16)} `;
const readMs = (k: string): number => Number(k.slice(0, 16));
const PAYMENT = /^(pi|ch|py|in)_/;

/**
 * One identity in the shape of today. What was not noted then can't be known: an address of an auth provider's user counts as proven,
 * as it did; former values of one time have no chain.
 */
export function convertRegisters(id: string, provider: string, former: FormerRegisters): Converted {
  const registers = makeRegisters(former.class, former.personId);
  const byKey = new Map<string, Contribution>();
  const at = (k: string): Contribution => {
    const known = byKey.get(k) ?? { k: convertKey(k) };
    byKey.set(k, known);
    return known;
  };
  const isApi = former.class === 'api';
  for (const { k, v, a } of former.email ?? []) {
    const email = plausible(v);
    if (email === null || (isApi && a === 0)) continue;
    Object.assign(at(k), { e: email, ...(a === 1 && { a: 1 }), ...((isApi || former.class === 'auth') && { p: 1 }) });
  }
  for (const { k, v, a } of former.firstName ?? []) Object.assign(at(k), { f: v, ...(a === 1 && !isApi && { a: 1 }) });
  for (const { k, v, a } of former.lastName ?? []) Object.assign(at(k), { l: v, ...(a === 1 && !isApi && { a: 1 }) });
  for (const { k, v } of former.userId ?? []) if (v !== former.personId) at(k).userId = v;
  for (const [key, versions] of Object.entries(former.props ?? {}))
    for (const { k, v } of versions) at(k).c = { ...at(k).c, [key]: v };
  for (const [list, k] of [...Object.entries(former.lists ?? {}), ...Object.entries(former.relisted ?? {})])
    at(k).lists = { ...at(k).lists, [list]: true };
  addOrigin(former, at);
  addApiWrites(former, at);
  registers.facts = [...byKey.values()].sort((x, y) => compareTexts(x.k, y.k));
  registers.first = registers.facts[0]?.k ?? '~';
  addDeaths(former, registers);
  if (former.mapped) registers.mapped = { k: convertKey(former.mapped.k), values: former.mapped.values };
  const ids = Object.keys(former.links ?? {}).flatMap(value => (value.startsWith('id:') ? [value] : []));
  const isPayment = (value: string) => PAYMENT.test(value.slice(value.lastIndexOf('/') + 1).replace(/^id:[a-z]+:/, ''));
  registers.aliases = ids.filter(value => !isPayment(value)).sort();
  return {
    registers,
    payments: provider === 'api' ? [] : ids.filter(isPayment).map(value => value.slice(3)),
    consent: convertConsent(id, former),
  };
}

function addOrigin({ origin, email }: FormerRegisters, at: (k: string) => Contribution): void {
  if (!origin) return;
  const one = at(origin.k);
  one.source = origin.source;
  if (origin.userGroup) one.group = origin.userGroup;
  one.e ??= plausible(email?.[0]?.v) ?? undefined;
}

function addApiWrites({ said }: FormerRegisters, at: (k: string) => Contribution): void {
  if (!said) return;
  const [made] = said.claims;
  if (made) Object.assign(at(made.k), { made: 1, source: made.v });
  for (const { k, v } of said.source) at(k).setSource = v;
  for (const { k, v } of said.userGroup) at(k).group = v;
  for (const [list, versions] of Object.entries(said.lists))
    for (const { k, v } of versions) at(k).lists = { ...at(k).lists, [list]: v };
}

function addDeaths({ died, buried, said }: FormerRegisters, registers: Registers): void {
  const add = (k: string, onDelete: OnDelete) =>
    registers.deaths.push({ k: convertKey(k), h: convertKey(k), onDelete });
  if (buried) add(buried.k, buried.onDelete);
  if (died && died !== buried?.k) add(died, buried?.onDelete ?? 'unsubscribe');
  registers.deaths.sort((x, y) => compareTexts(x.k, y.k));
  if (said?.erased) registers.erased = convertKey(said.erased);
}

function convertConsent(id: string, { said }: FormerRegisters): ConsentChange[] {
  const reason = readAddress(id) === null ? 'api' : 'link';
  return (said?.subscribed ?? []).map(({ k, v }) => ({ at: readMs(k), subscribed: v, reason }));
}
