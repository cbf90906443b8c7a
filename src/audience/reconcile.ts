import type { ContactChange, Who } from '../changes.ts';
import type { Effect, Scalar } from '../db/schema.ts';
import { makeId } from '../id.ts';
import { type Group, partition } from './partition.ts';
import type { Contact, People } from './people.ts';
import { type Projected, project } from './project.ts';
import { compareTexts } from './registers.ts';
import { findRemovals, type Removals } from './removals.ts';
import { type Identity, type View, viewOf } from './views.ts';

/** What became of the contact that an identity belongs to. */
export interface Reconciled {
  contactId: string | null;
  /** The address shown now, or before a removal. */
  email: string | null;
  userId: string | null;
  /** `parked`: kept without an address; `unknown`: no address so far. */
  why: 'shown' | 'parked' | 'unknown' | 'deleted';
  /** The row that a removal took away: a last event may still name it. */
  removedId: string | null;
  effects: Effect[];
  /** Identities for which waiting deliveries are due: who has a contact now and had none, or is gone. */
  known: string[];
  changes: ContactChange[];
  /** The identity's sign-up is kept apart from an address that is somebody else's. */
  withheld: boolean;
  /** Who is left of the contact after a deletion, in words; null: nobody. */
  left: string | null;
}

interface Plan {
  group: Group;
  projected: Projected | null;
  /** Rows its identities pointed at, the surviving one first. */
  rows: Contact[];
}

const DATA = ['email', 'userId', 'firstName', 'lastName', 'source', 'userGroup', 'subscribed'] as const;

const pickWho = (id: string, { email, userId }: { email: string; userId: string | null }): Who => ({
  id,
  email,
  userId,
});

/** The groups of these connected identities as they stand now. */
export function findGroups(all: Identity[]): { groups: Group[]; removals: Removals } {
  const removals = findRemovals(all);
  const views = all.flatMap(each => viewOf(each, null, removals.forgotten.get(each.id) ?? '') ?? []);
  return { groups: partition(views), removals };
}

/** Writes the contacts that follow from what is known around `focus`, whose change caused it. `now` in ms. */
/** `also` and `values`: identities and ties that belonged to it before. */
export function reconcile(
  people: People,
  focus: string,
  now: number,
  also: string[] = [],
  values: string[] = [],
): Reconciled {
  const { all, whole } = people.around([focus, ...also], values);
  const { groups, removals } = findGroups(all);
  const plans: Plan[] = groups
    .filter(group => group.views.every(view => whole.has(view.id)))
    .map(group => {
      const { email } = group;
      const projected = email === null ? null : project({ ...group, email }, people.consents, people.definitions, now);
      return { group, projected, rows: [] };
    });
  const rows = assignRows(people, plans);
  const out: Reconciled = {
    contactId: null,
    email: null,
    userId: null,
    why: 'unknown',
    removedId: null,
    effects: [],
    known: [],
    changes: [],
    withheld: false,
    left: null,
  };
  for (const plan of plans) writePlan(people, plan, { focus, now, rows, removals, out });
  return out;
}

/** Each row goes to one group: to the user who had proven its address, or the API contact, else with the address, else with who is left. */
function assignRows(people: People, plans: Plan[]): Contact[] {
  const ids = new Set(plans.flatMap(plan => plan.group.views.flatMap(view => view.identity.contactId ?? [])));
  const rows: Contact[] = [];
  for (const id of ids) {
    const row = people.contacts.get(id);
    if (!row) continue;
    rows.push(row);
    const claims = plans
      .filter(plan => plan.group.views.some(view => view.identity.contactId === id))
      .sort(
        (a, b) =>
          rankClaim(b, row) - rankClaim(a, row) ||
          compareTexts(findKnownSince(a, id), findKnownSince(b, id)) ||
          compareTexts(a.group.views[0]?.id ?? '', b.group.views[0]?.id ?? ''),
      );
    claims[0]?.rows.push(row);
  }
  for (const plan of plans) plan.rows.sort((a, b) => a.createdAt - b.createdAt || compareTexts(a.id, b.id));
  return rows;
}

const findKnownSince = ({ group }: Plan, id: string) =>
  group.views
    .filter(view => view.identity.contactId === id)
    .map(view => view.first)
    .sort()[0] ?? '~';

function rankClaim({ group }: Plan, row: Contact): number {
  const mine = group.views.filter(view => view.identity.contactId === row.id);
  const proved = (view: View) =>
    view.kind === 'user' && view.runs.some(run => run.proven !== null && run.email === row.email);
  if (mine.some(proved)) return 4;
  if (mine.some(view => view.kind === 'apiContact')) return 3;
  if (group.email === row.email) return 2;
  return group.email === null ? 0 : 1;
}

interface Writing {
  focus: string;
  now: number;
  rows: Contact[];
  removals: Removals;
  out: Reconciled;
}

function writePlan(people: People, plan: Plan, { focus, now, rows, removals, out }: Writing): void {
  const { group, projected } = plan;
  const mine = group.views.some(view => view.id === focus);
  const [survivor, ...others] = plan.rows;
  const effects: Effect[] = [];
  let id: string | null = null;
  let why: Reconciled['why'] = 'shown';
  if (projected) {
    id = survivor?.id ?? makeId('con', now);
    const left = !survivor && group.views.some(view => rows.some(row => row.id === view.identity.contactId));
    writeContact(people, { id, want: projected, had: survivor, left, now }, effects, out.changes);
    for (const other of others) mergeRow(people, other, id, projected, effects, out.changes);
  } else {
    why = explainHidden(group, removals);
    if (survivor) {
      if (why !== 'deleted' && keepsRow(group)) {
        id = survivor.id;
        why = 'parked';
        if (!survivor.parked) {
          people.set(people.contacts, id, { ...survivor, parked: true, updatedAt: now });
          effects.push({ kind: 'contact.parked', reason: 'somebody else shows this address now' });
        }
      } else removeRow(people, survivor, effects, out.changes);
      for (const other of others) removeRow(people, other, effects, out.changes);
    }
  }
  for (const { identity } of group.views) {
    if (identity.contactId === null && id !== null && why === 'shown') out.known.push(identity.id);
    if (why === 'deleted') out.known.push(identity.id);
    const current = people.identities.get(identity.id);
    if (current && current.contactId !== id) people.putIdentity({ ...current, contactId: id });
  }
  if (mine) {
    const view = group.views.find(each => each.id === focus);
    out.contactId = why === 'shown' ? id : null;
    out.why = why;
    out.withheld = view?.withheld ?? false;
    out.left = findLeftBeside(group, focus);
    out.email = projected?.email ?? survivor?.email ?? null;
    out.userId = projected?.userId ?? survivor?.userId ?? null;
    out.removedId = why === 'shown' ? null : (survivor?.id ?? null);
    out.effects.unshift(...effects);
  } else out.effects.push(...effects.map(effect => ({ ...effect, contactId: id ?? survivor?.id ?? null })));
}

function findLeftBeside({ views }: Group, focus: string): string | null {
  const live = views.filter(view => view.id !== focus && view.live && (view.kind === 'user' || view.kind === 'payer'));
  const [one] = live;
  if (one) return `${one.id.slice(0, one.id.indexOf(':'))} still has this person as ${one.identity.registers.personId}`;
  return views.some(view => view.kind === 'apiContact') ? 'the API made this contact' : null;
}

/** A user or API contact that lost a proven address keeps the row; an unproven one only alone. */
function keepsRow({ views }: Group): boolean {
  const users = views.filter(view => view.kind === 'user');
  if (views.some(view => view.kind === 'apiContact')) return true;
  if (users.some(view => view.runs.some(run => run.proven !== null))) return true;
  return users.length === 1 && views.every(view => view.kind === 'user' || view.kind === 'apiAddress');
}

function explainHidden({ views }: Group, { forgotten }: Removals): 'unknown' | 'deleted' | 'parked' {
  const persons = views.filter(view => view.kind === 'user' || view.kind === 'payer');
  if (persons.some(view => view.live)) return 'unknown';
  if (views.some(view => forgotten.has(view.id) || view.identity.registers.erased !== '')) return 'deleted';
  return persons.length ? (persons.some(view => view.runs.length > 0) ? 'parked' : 'deleted') : 'unknown';
}

function removeRow(people: People, row: Contact, effects: Effect[], changes: ContactChange[]): void {
  people.set(people.contacts, row.id, null);
  if (row.parked) return;
  effects.push({ kind: 'contact.deleted', contactId: row.id });
  changes.push({ kind: 'contact.deleted', contact: pickWho(row.id, row) });
}

function mergeRow(
  people: People,
  row: Contact,
  into: string,
  to: Projected,
  effects: Effect[],
  changes: ContactChange[],
): void {
  people.set(people.contacts, row.id, null);
  people.set(people.merged, row.id, into);
  effects.push({ kind: 'contact.merged', from: row.id });
  changes.push({ kind: 'contact.merged', contact: pickWho(into, to), from: row.id });
}

/** The fields and properties that changed, before and after. */
function diffContact(had: Contact, data: Projected) {
  const was: Record<string, Scalar | null> = {};
  const is: Record<string, Scalar | null> = {};
  const compare = (key: string, before: Scalar | null, after: Scalar | null) => {
    if (before === after) return;
    was[key] = before;
    is[key] = after;
  };
  for (const key of DATA) compare(key, had[key], data[key]);
  const value = (all: Record<string, Scalar>, key: string) => (Object.hasOwn(all, key) ? (all[key] ?? null) : null);
  for (const key of new Set([...Object.keys(had.properties), ...Object.keys(data.properties)]))
    compare(key, value(had.properties, key), value(data.properties, key));
  return { was, is };
}

interface ContactWriting {
  id: string;
  want: Projected;
  had: Contact | undefined;
  /** It leaves another contact: nobody signed up. */
  left: boolean;
  now: number;
}

function writeContact(
  people: People,
  { id, want, had, left, now }: ContactWriting,
  effects: Effect[],
  changes: ContactChange[],
): void {
  const contact = pickWho(id, want);
  if (!had) {
    people.set(people.contacts, id, { id, ...want, createdAt: now, updatedAt: now, parked: false });
    effects.push({ kind: left ? 'contact.split' : 'contact.created' });
    changes.push({ kind: 'contact.created', contact, ...(left && { split: true as const }) });
    for (const listId of want.lists) {
      effects.push({ kind: 'list.subscribed', listId });
      changes.push({ kind: 'list.subscribed', contact, listId, ...(left && { split: true as const }) });
    }
    return;
  }
  const { was, is } = diffContact(had, want);
  const changed = DATA.filter(key => Object.hasOwn(is, key)) as string[];
  if (Object.keys(is).some(key => !(DATA as readonly string[]).includes(key))) changed.push('properties');
  const joined = want.lists.filter(listId => !had.lists.includes(listId));
  const gone = had.lists.filter(listId => !want.lists.includes(listId));
  if (!changed.length && !joined.length && !gone.length && !had.parked) return;
  const updatedAt = changed.length || had.parked ? now : had.updatedAt;
  people.set(people.contacts, id, { ...had, ...want, updatedAt, parked: false });
  if (had.parked) effects.push({ kind: 'contact.unparked' });
  if (changed.includes('subscribed')) {
    const kind = want.subscribed ? ('contact.resubscribed' as const) : ('contact.unsubscribed' as const);
    effects.push({ kind });
    changes.push({ kind, contact });
  }
  const other = changed.filter(key => key !== 'subscribed');
  if (other.length) effects.push({ kind: 'contact.updated', changed: other });
  if (changed.length) changes.push({ kind: 'contact.changed', contact, was, is });
  for (const listId of joined) {
    effects.push({ kind: 'list.subscribed', listId });
    changes.push({ kind: 'list.subscribed', contact, listId });
  }
  for (const listId of gone) {
    effects.push({ kind: 'list.unsubscribed', listId });
    changes.push({ kind: 'list.unsubscribed', contact, listId });
  }
}
