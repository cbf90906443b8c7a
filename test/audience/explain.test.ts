import { beforeAll, describe, expect, test } from 'bun:test';
import { type Explained, explainPeople } from '../../src/audience/explain.ts';
import type { Contact } from '../../src/audience/people.ts';
import { RULES, type Rule } from '../../src/audience/rules.ts';
import { Core } from '../model/core.ts';
import { generateHistory } from '../model/histories.ts';
import type { Step } from '../model/steps.ts';

const TYPES = { plan: 'string', seats: 'number', tier: 'string' } as const;
const HISTORIES = 400;

/** What a contact shows, by the names of its fields. */
function shownOf(row: Contact): Map<string, unknown> {
  const { email, firstName, lastName, userId, userGroup, source, subscribed, properties, lists } = row;
  return new Map<string, unknown>([
    ...Object.entries({ email, firstName, lastName, userId, userGroup, source, subscribed }),
    ...Object.entries(properties).map(([key, value]): [string, unknown] => [`properties.${key}`, value]),
    ...lists.map((id): [string, unknown] => [`lists.${id}`, true]),
  ]);
}

/** Where the explanation says something else than the contact shows. */
function compareExplained(row: Contact, explained: Explained): string[] {
  const wrong: string[] = [];
  const shown = shownOf(row);
  for (const [field, value] of shown) {
    const told = explained.fields.get(field);
    if (told?.value !== value) wrong.push(`${field} is ${value}, explained as ${told?.value}`);
    if (field === 'subscribed' || value === null || value === '') continue;
    const won = told?.claims.filter(each => each.rule === null) ?? [];
    const fits = (said: unknown) => String(said) === String(value);
    if (won.length !== 1 || !fits(won[0]?.value))
      wrong.push(`${field} is ${value}, said to come of ${won.map(each => each.value)}`);
  }
  for (const [field, { value }] of explained.fields)
    if (!shown.has(field) && value !== null && value !== false)
      wrong.push(`${field} is not shown, explained as ${value}`);
  return wrong;
}

const seen = new Map<Rule, number>();
function noteRules(explained: Explained): void {
  for (const { rule, claims } of explained.fields.values())
    for (const each of [rule, ...claims.flatMap(claim => claim.rule ?? [])]) seen.set(each, (seen.get(each) ?? 0) + 1);
}

function explainAll(steps: Step[]): string[] {
  const core = new Core(TYPES);
  for (const step of steps) core.take(step);
  const now = steps.at(-1)?.arrivedAt ?? 0;
  const wrong: string[] = [];
  for (const row of core.people.contacts.values()) {
    const explained = explainPeople(core.people, { contactId: row.id, ids: [] }, now);
    noteRules(explained);
    if (!row.parked) wrong.push(...compareExplained(row, explained));
    else if (explained.state !== 'parked') wrong.push(`${row.email} is parked`);
  }
  for (const { id, contactId } of core.people.identities.values())
    if (contactId === null) noteRules(explainPeople(core.people, { contactId: null, ids: [id] }, now));
  return wrong;
}

describe('an explanation says what the contact shows, and which fact it comes from', () => {
  beforeAll(() => seen.clear());

  test(`${HISTORIES} random histories`, () => {
    for (let seed = 1; seed <= HISTORIES; seed++)
      for (const steps of [
        generateHistory(seed, { steps: 40 }),
        generateHistory(seed, { steps: 40, people: 3, addresses: 3 }),
      ])
        expect({ seed, wrong: explainAll(steps) }).toEqual({ seed, wrong: [] });
  }, 120_000);

  test('a list that was deleted, a value that no longer fits', () => {
    const core = new Core({ plan: 'number', seats: 'number', tier: 'number' }, () => false);
    for (const step of generateHistory(1, { steps: 40, withDeletions: false, withApiDeletes: false })) core.take(step);
    for (const { id } of core.people.contacts.values())
      noteRules(explainPeople(core.people, { contactId: id, ids: [] }, 0));
    expect([seen.has('listGone'), seen.has('unfit')]).toEqual([true, true]);
  });

  test('every rule is met', () => {
    const missing = Object.keys(RULES).filter(rule => !seen.has(rule as Rule));
    expect(missing).toEqual([]);
  });
});
