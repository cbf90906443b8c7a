import type { Scalar } from '../db/schema.ts';
import { AppError } from '../errors.ts';
import { applyApiWrite, type ContactWrite, type Written } from './apiWrite.ts';
import { coerce } from './coerce.ts';
import type { Contact, People } from './people.ts';
import type { K } from './registers.ts';
import type { Identity } from './views.ts';

/** What a node of a workflow says of its contact. Of consent it says nothing. */
export interface NodeWrite {
  /** firstName, lastName, userGroup and custom properties; null removes. */
  set?: Record<string, Scalar | null>;
  join?: string;
  leave?: string;
}

export interface NodeWritten {
  /** Null: nothing was written. */
  written: Written | null;
  /** Fields that were left as they are → why. */
  dropped: Record<string, string>;
  /** Why nothing was written. */
  reason: string | null;
}

const FIELDS = ['firstName', 'lastName', 'userGroup'] as const;
const isField = (name: string): name is (typeof FIELDS)[number] => (FIELDS as readonly string[]).includes(name);

/** Every key of what a workflow wrote ends with its run and node. */
const isOfWorkflow = (k: K): boolean => /\.run_[^ ]* $/.test(k);

/** Lists that the API or the person left: of the last word about each, by whomever but a workflow. Only they may join them again. */
export function findListsLeft(identities: Identity[]): Set<string> {
  const said = new Map<string, { k: K; on: boolean }>();
  for (const { registers } of identities) {
    if (registers.class !== 'api') continue;
    for (const { k, lists = {} } of registers.facts)
      for (const [id, on] of Object.entries(lists)) if (k > (said.get(id)?.k ?? '')) said.set(id, { k, on });
  }
  return new Set([...said].flatMap(([id, { k, on }]) => (on || isOfWorkflow(k) ? [] : [id])));
}

/** The fields as an API write has them: what does not fit is left out and told. */
function fitFields(people: People, set: Record<string, Scalar | null>, dropped: NodeWritten['dropped']): ContactWrite {
  const write: ContactWrite = {};
  const properties: Record<string, Scalar | null> = {};
  for (const [name, value] of Object.entries(set)) {
    if (isField(name)) {
      if (name === 'userGroup') write[name] = String(value ?? '');
      else write[name] = value === null ? null : String(value);
      continue;
    }
    const type = people.definitions.typeOf(name);
    const fitting = value === null || type === undefined ? value : coerce(value, type);
    if (type === undefined) dropped[name] = 'there is no such property';
    else if (fitting === undefined) dropped[name] = `it must be a ${type}, as the property is`;
    else properties[name] = fitting;
  }
  for (const [name, value] of [...Object.entries(write), ...Object.entries(properties)])
    if (typeof value === 'string' && value.length > MAX_TEXT) {
      dropped[name] = `it is longer than ${MAX_TEXT} characters`;
      delete write[name as (typeof FIELDS)[number]];
      delete properties[name];
    }
  return Object.keys(properties).length ? { ...write, properties } : write;
}
const MAX_TEXT = 500;

/** The change of a list, or why there is none. */
function decideList(people: People, contact: Contact, { join, leave }: NodeWrite): ContactWrite | string {
  if (leave !== undefined)
    return contact.lists.includes(leave) ? { mailingLists: { [leave]: false } } : 'the contact is not on the list';
  if (join === undefined) return {};
  if (contact.lists.includes(join)) return 'the contact is on the list already';
  if (!contact.subscribed) return 'the contact is unsubscribed';
  if (!people.definitions.hasList(join)) return 'the list was deleted';
  const own = [...people.identities.values()].filter(each => each.contactId === contact.id);
  return findListsLeft(own).has(join)
    ? 'the list was left by the person or over the API'
    : { mailingLists: { [join]: true } };
}

/** Writes what a node says of a contact as an API write would, consent apart. `key` is unique to run and node. Refuses nothing: it tells. */
export function applyNodeWrite(
  people: People,
  contact: Contact,
  given: NodeWrite,
  key: string,
  now: number,
): NodeWritten {
  const dropped: NodeWritten['dropped'] = {};
  const list = decideList(people, contact, given);
  if (typeof list === 'string') return { written: null, dropped, reason: list };
  const write = { ...fitFields(people, given.set ?? {}, dropped), ...list };
  if (!Object.keys(write).length) return { written: null, dropped, reason: 'nothing fits' };
  const mark = people.mark();
  try {
    const written = applyApiWrite(
      people,
      'update',
      { ...write, email: contact.email },
      { key, source: 'Workflow' },
      now,
    );
    return { written, dropped, reason: null };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    people.undoTo(mark);
    return { written: null, dropped, reason: error.message };
  }
}
