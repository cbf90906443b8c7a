import { type Contribution, findDeath, type K, type Registers } from './registers.ts';

const MAX_FACTS = 24; // that carry one field
const MAX_BYTES = 60_000; // of one identity's registers as JSON text

/** Puts a contribution in its place and forgets what is too much. Contributions are never changed in place. */
export function putContribution(r: Registers, one: Contribution): void {
  const facts = r.facts.filter(each => each.k !== one.k);
  let at = facts.length;
  while (at > 0 && facts[at - 1]!.k > one.k) at--;
  facts.splice(at, 0, one);
  r.facts = facts;
  if (facts.length > MAX_FACTS) trim(r);
  if (one.c && JSON.stringify(r.facts).length > MAX_BYTES) shrink(r); // without properties 24 facts stay below
}

const FIELDS = ['e', 'f', 'l', 'group', 'userId'] as const;
type Field = (typeof FIELDS)[number];

/** Past the limit of a field, what follows a death goes first, then repeats between two equal values, then the second oldest. */
function trim(r: Registers): void {
  r.facts = r.facts.map(each => ({ ...each }));
  const died = findDeath(r);
  for (const field of FIELDS) trimField(r.facts, field, died);
  for (const key of new Set(r.facts.flatMap(each => Object.keys(each.c ?? {})))) trimProperty(r.facts, key, died);
  for (const id of new Set(r.facts.flatMap(each => Object.keys(each.lists ?? {})))) trimList(r.facts, id);
  r.facts = r.facts.filter(saysSomething);
}

/** Which of too many goes next. */
function chooseGone(all: Contribution[], died: K | null, same: (a: Contribution, b: Contribution) => boolean): number {
  const late = died === null ? -1 : all.findIndex(each => each.k >= died);
  if (late >= 0) return late;
  for (let i = 1; i < all.length - 1; i++) if (same(all[i - 1]!, all[i]!) && same(all[i]!, all[i + 1]!)) return i;
  return 1;
}

function trimField(facts: Contribution[], field: Field, died: K | null): void {
  const all = facts.filter(each => each[field] !== undefined);
  while (all.length > MAX_FACTS) {
    const next = chooseGone(all, died, (a, b) => a[field] === b[field] && a.a === b.a && a.p === b.p);
    const [gone] = all.splice(next, 1);
    if (!gone) break;
    delete gone[field];
    if (field === 'e') delete gone.p;
  }
}

function trimProperty(facts: Contribution[], key: string, died: K | null): void {
  const all = facts.filter(each => each.c && Object.hasOwn(each.c, key));
  while (all.length > MAX_FACTS) {
    const next = chooseGone(all, died, (a, b) => a.c?.[key] === b.c?.[key]);
    const [gone] = all.splice(next, 1);
    if (!gone?.c) break;
    const { [key]: _, ...rest } = gone.c;
    gone.c = rest;
  }
}

/** The first word about a list is kept, since it may be the one that took off. */
function trimList(facts: Contribution[], id: string): void {
  const all = facts.filter(each => each.lists && Object.hasOwn(each.lists, id));
  for (const gone of all.slice(1, Math.max(1, all.length - MAX_FACTS + 1))) {
    const { [id]: _, ...rest } = gone.lists ?? {};
    gone.lists = rest;
  }
}

/** Whether anything is left of a contribution. */
export const saysSomething = (one: Contribution) =>
  one.e !== undefined ||
  one.f !== undefined ||
  one.l !== undefined ||
  one.group !== undefined ||
  one.userId !== undefined ||
  one.made !== undefined ||
  one.setSource !== undefined ||
  Object.keys(one.c ?? {}).length > 0 ||
  Object.keys(one.lists ?? {}).length > 0;

/** Over the size: of the older facts only what nobody newer says again is kept. */
function shrink(r: Registers): void {
  r.facts = r.facts.map(each => ({ ...each, ...(each.was && { was: { ...each.was } }) }));
  const seen = new Set<string>();
  for (const one of [...r.facts].reverse()) {
    for (const key of Object.keys(one.c ?? {})) {
      if (seen.has(key)) {
        const { [key]: _, ...rest } = one.c ?? {};
        one.c = rest;
      } else seen.add(key);
    }
    if (one.was) delete one.was.c;
  }
  r.facts = r.facts.filter(saysSomething);
  while (JSON.stringify(r.facts).length > MAX_BYTES && r.facts.length > 1) r.facts.splice(1, 1);
}
