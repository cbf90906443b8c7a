import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  clickLink,
  findShown,
  listShown,
  type Maker,
  removeContact,
  runSteps,
  tellFact,
  tellUnproven,
  timeOf,
  useAudience,
  writeContact,
} from './build.ts';
import { Core } from './core.ts';
import { Model } from './model.ts';
import type { Step } from './steps.ts';

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

    test('who was removed over the API was dead from then on, whenever the provider deletes them', () => {
      const lists = ['tips'];
      const steps = [
        tellFact(0, 'uuid_1', 'c@example.com', { type: 'created' }),
        removeContact(10, { email: 'c@example.com' }),
        tellFact(25, 'pol_6', 'f@example.com', { type: 'created', fact: { userId: 'uuid_1' } }),
        tellFact(20, 'cus_10', null, { type: 'deleted', arrives: 30 }),
        tellFact(0, 'uuid_1', null, {
          type: 'deleted',
          arrives: 40,
          fact: { happenedAt: timeOf(40) },
          settings: { onDelete: 'delete' },
        }),
        // Nobody of those known by then was left when this list was named.
        tellFact(20, 'cus_10', 'f@example.com', { arrives: 50, settings: { lists } }),
      ];
      expect(runSteps(steps)).toMatchObject([{ email: 'f@example.com', lists: [] }]);
    });

    test('an address that was removed and erased may buy again', () => {
      const buy = (second: number) => tellFact(second, 'guest', 'g@example.com');
      const erase: Step = { kind: 'erase', arrivedAt: timeOf(20), email: 'g@example.com' };
      const steps = [buy(0), removeContact(10, { email: 'g@example.com' }), erase, buy(30)];
      expect(listShown(steps)).toEqual(['g@example.com']);
    });

    test('erasing an address takes nothing from the contact of a payer whom the API spoke of by it', () => {
      const fact = { userId: 'user_3' };
      const steps: Step[] = [
        tellFact(0, 'pol_8', 'd@example.com', { type: 'created', fact, settings: { properties: { plan: 'free' } } }),
        writeContact(10, 'update', { email: 'd@example.com', properties: { plan: null } }),
        tellFact(20, 'user_3', 'e@example.com', { type: 'created' }),
        { kind: 'erase', arrivedAt: timeOf(30), email: 'd@example.com' },
      ];
      expect(findShown(steps, 'e@example.com')?.properties).toEqual({});
    });

    test('an API write in the second of a removal counts: it is the later', () => {
      const steps = [
        writeContact(0, 'create', { email: 'a@example.com' }),
        removeContact(10, { email: 'a@example.com' }),
        writeContact(10, 'create', { email: 'a@example.com', firstName: 'Ada' }),
      ];
      expect(runSteps(steps)).toMatchObject([{ email: 'a@example.com', firstName: 'Ada' }]);
    });

    test('a yes by the link of a former address reaches the payer who still shows it', () => {
      const steps = [
        clickLink(0, 'f@example.com'),
        tellFact(10, 'user_1', 'f@example.com', { type: 'created' }),
        tellFact(20, 'pol_2', 'f@example.com', { type: 'created' }),
        tellUnproven(100, 'user_1', 'a@example.com'),
      ];
      expect(runSteps(steps)).toMatchObject([{ email: 'a@example.com', subscribed: false }]);
      expect(runSteps([...steps, clickLink(200, 'f@example.com', true)])).toMatchObject([{ subscribed: true }]);
    });

    test('a no by the link of a former address is not of the address that its user lost to another', () => {
      const steps = [
        tellFact(0, 'uuid_3', 'c@example.com', { type: 'created' }),
        tellFact(10, 'uuid_3', 'e@example.com'),
        tellFact(20, 'uuid_1', 'e@example.com', { type: 'created' }),
        writeContact(30, 'update', { userId: 'uuid_1', email: 'a@example.com' }),
        clickLink(40, 'c@example.com'),
      ];
      expect(runSteps(steps)).toMatchObject([{ email: 'a@example.com', subscribed: true }]);
    });

    test('who was left at a deletion is not forgotten because the API sets the address once more', () => {
      const steps = [
        writeContact(0, 'create', { email: 'a@example.com' }),
        tellFact(10, 'cus_8', 'a@example.com', { fact: { firstName: 'Dora' } }),
        tellFact(20, 'cus_8', null, { type: 'deleted', settings: { onDelete: 'delete' } }),
        writeContact(30, 'update', { email: 'a@example.com', userId: 'uuid_1' }),
        tellFact(40, 'uuid_1', 'e@example.com', { type: 'created' }),
        writeContact(50, 'update', { userId: 'uuid_1', email: 'a@example.com' }),
      ];
      expect(runSteps(steps)).toMatchObject([{ email: 'a@example.com', firstName: 'Dora' }]);
    });

    test('who is gone goes with whom they shared the address, also to where the API moves them', () => {
      const steps = [
        tellFact(0, 'user_1', 'a@example.com', { type: 'created' }),
        tellFact(10, 'uuid_2', 'a@example.com', { type: 'created', fact: { firstName: 'Old' } }),
        tellFact(20, 'uuid_2', null, { type: 'deleted', fact: { happenedAt: timeOf(20) } }),
        writeContact(30, 'update', { userId: 'user_1', email: 'c@example.com' }),
      ];
      expect(runSteps(steps)).toMatchObject([{ email: 'c@example.com', userId: 'user_1', firstName: 'Old' }]);
    });

    test('an opt-out is of all persons of a contact, also of who had no address yet', () => {
      const fact = { userId: 'app_7' };
      const steps = [
        tellFact(0, 'pol_1', 'a@example.com', { type: 'created', fact }),
        tellFact(10, 'pol_2', null, { type: 'created', fact }),
        writeContact(20, 'update', { email: 'a@example.com', subscribed: false }),
        tellFact(30, 'pol_1', null, { type: 'deleted' }),
        tellFact(40, 'pol_2', 'p@example.com', { fact }),
      ];
      expect(findShown(steps, 'p@example.com')?.subscribed).toBe(false);
    });

    test('a deletion claims no address, whichever it names', () => {
      const gone = tellFact(10, 'cus_1', 'z@example.com', { type: 'deleted' });
      expect(listShown([tellFact(0, 'cus_1', 'a@example.com', { type: 'created' }), gone])).toEqual(['a@example.com']);
      expect(listShown([gone])).toEqual([]);
    });

    test('of two deletions of one person both are asked whether anybody is left', () => {
      const created = tellFact(0, 'cus_1', 'a@example.com', { type: 'created', fact: { firstName: 'Ada' } });
      const guest = tellFact(40, 'guest', 'a@example.com');
      const gone = (second: number, onDelete: 'unsubscribe' | 'delete') =>
        tellFact(second, 'cus_1', null, { type: 'deleted', settings: { onDelete } });
      for (const [first, second] of [
        ['unsubscribe', 'delete'],
        ['delete', 'unsubscribe'],
      ] as const)
        expect(runSteps([created, gone(20, first), gone(30, second), guest])).toMatchObject([
          { email: 'a@example.com', firstName: null },
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
