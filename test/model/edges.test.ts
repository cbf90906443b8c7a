import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  findShown,
  listShown,
  type Maker,
  runSteps,
  tellFact,
  tellUnproven,
  timeOf,
  useAudience,
  writeContact,
} from './build.ts';
import { Core } from './core.ts';
import { Model } from './model.ts';

const AUDIENCES: [string, Maker][] = [
  ['model', () => new Model()],
  ['core', () => new Core({ plan: 'string' })],
];

// What random histories found, each in its smallest form.
for (const [name, maker] of AUDIENCES)
  describe(`${name}: at the edges of the contact rules`, () => {
    beforeAll(() => useAudience(maker));
    afterAll(() => useAudience(() => new Model()));

    test('a payer made in the second in which the user moves on was there before: a creation comes first', () => {
      const steps = [
        tellFact(0, 'user_1', 'old@example.com', { type: 'created' }),
        tellFact(60, 'user_1', 'new@example.com', { externalId: 'evt_a' }),
        tellFact(60, 'cus_1', 'old@example.com', { type: 'created', externalId: 'evt_b' }),
      ];
      expect(listShown(steps)).toEqual(['new@example.com']);
    });

    test('a minute before an unproven sign-up is counted with all its digits', () => {
      const payer = tellFact(0, 'cus_1', 'a@example.com', { type: 'created', settings: { properties: { plan: 'x' } } });
      const signUp = (micros: number) =>
        tellUnproven(60, 'uuid_1', 'a@example.com', { type: 'created', fact: { micros } });
      expect(runSteps([payer, signUp(0)])).toMatchObject([{ userId: 'uuid_1' }]);
      expect(runSteps([payer, signUp(1)])).toMatchObject([{ userId: null }]);
    });

    test('of two ties by address that exclude one another the one that came about first counts', () => {
      const steps = [
        tellFact(0, 'user_7', 'c@example.com', { type: 'created', fact: { firstName: 'Dora' } }),
        tellFact(10, 'uuid_3', 'c@example.com', { type: 'created', fact: { firstName: 'Carla' } }),
        writeContact(20, 'update', { userId: 'user_7', email: 'f@example.com' }),
        tellFact(30, 'uuid_9', 'f@example.com', { type: 'created', fact: { firstName: 'Ada' } }),
      ];
      expect(runSteps(steps)).toMatchObject([
        { email: 'c@example.com', userId: 'user_7' },
        { email: 'f@example.com', userId: 'uuid_9', firstName: 'Ada' },
      ]);
    });

    test('a guest is with the living identity that shows its address, wherever the API moved that contact', () => {
      const steps = [
        writeContact(10, 'create', { userId: 'uuid_3', email: 'e@example.com' }),
        tellFact(0, 'uuid_3', 'd@example.com', { type: 'created', arrives: 25 }),
        tellFact(20, 'uuid_5', 'd@example.com', { type: 'created' }),
        tellFact(21, 'guest', 'd@example.com', { fact: { lastName: 'Guest' } }),
      ].toSorted((a, b) => a.arrivedAt - b.arrivedAt);
      expect(findShown(steps, 'd@example.com')).toMatchObject({ userId: 'uuid_5', lastName: 'Guest' });
      const gone = tellFact(20, 'uuid_5', null, { type: 'deleted', arrives: 90, fact: { happenedAt: timeOf(90) } });
      expect(runSteps([...steps, gone])).toMatchObject([{ email: 'e@example.com', lastName: 'Guest' }]);
    });

    test('nothing of a user who is gone goes to another user of the API who took an address over', () => {
      const steps = [
        writeContact(0, 'import', { userId: 'user_3', email: 'a@example.com', firstName: 'Zoe' }),
        tellFact(0, 'user_3', 'b@example.com', { type: 'created', fact: { lastName: 'Berta' } }),
        writeContact(100, 'update', { userId: 'uuid_5', email: 'b@example.com' }),
        tellFact(200, 'user_3', null, { type: 'deleted', settings: { onDelete: 'delete' } }),
        tellFact(300, 'user_7', 'a@example.com', { type: 'created', fact: { firstName: 'Ada' } }),
      ];
      expect(runSteps(steps)).toMatchObject([
        { email: 'a@example.com', userId: 'user_7', firstName: 'Ada' },
        { email: 'b@example.com', userId: 'uuid_5', firstName: null, lastName: null },
      ]);
    });

    test('a user id that the API gave a contact is forgotten with it, also by a deletion at the provider', () => {
      const steps = [
        tellUnproven(0, 'user_5', 'a@example.com', { type: 'created' }),
        writeContact(10, 'update', { userId: 'user_5', email: 'f@example.com' }),
        writeContact(20, 'update', { userId: 'user_3', email: 'f@example.com' }),
        // In the second of the deletion the API is the later.
        writeContact(30, 'update', { userId: 'user_5', properties: { plan: 'old' } }),
        tellFact(30, 'user_5', null, { type: 'deleted', settings: { onDelete: 'delete' } }),
        writeContact(40, 'update', { userId: 'user_3', email: 'c@example.com' }),
      ];
      expect(runSteps(steps)).toMatchObject([{ email: 'c@example.com', userId: 'user_3' }]);
      expect(findShown(steps, 'c@example.com')?.properties).toEqual({});
    });
  });
