import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  clickLink,
  findShown,
  listShown,
  type Maker,
  makeAudience,
  removeContact,
  runSteps,
  tellCopy,
  tellFact,
  tellUnproven,
  timeOf,
  useAudience,
  writeContact,
} from './build.ts';
import { Core } from './core.ts';
import { generateHistory, shrink, shuffle } from './histories.ts';
import { Model } from './model.ts';
import type { Step } from './steps.ts';

const SHARED = 'shared@example.com';
const HOUR = 3600;
const DAY = 24 * HOUR;

function countRuns(seeds: number, check: (seed: number) => void) {
  for (let seed = 1; seed <= seeds; seed++) check(seed);
}

const AUDIENCES: [string, Maker][] = [
  ['model', () => new Model()],
  ['core', () => new Core({ plan: 'string', tier: 'string', seats: 'number', seen: 'boolean' })],
];

for (const [name, maker] of AUDIENCES)
  describe(`${name}: worked examples`, () => {
    beforeAll(() => useAudience(maker));
    afterAll(() => useAudience(() => new Model()));

    describe('addresses and their owners', () => {
      const two = [
        tellFact(0, 'uuid_1', SHARED, { type: 'created' }),
        tellFact(10, 'uuid_2', SHARED, { type: 'created' }),
      ];

      test('D1: sign-ins by turns take a shared address from nobody', () => {
        const steps: Step[] = [...two];
        for (let i = 2; i < 8; i++) {
          steps.push(tellFact(i * 100, i % 2 ? 'uuid_1' : 'uuid_2', SHARED));
          expect(runSteps(steps).map(c => c.userId)).toEqual(['uuid_2']);
        }
      });

      test('D1b: who unsubscribed stays so, whoever signs in next', () => {
        const steps = [...two, writeContact(100, 'update', { email: SHARED, subscribed: false })];
        expect(findShown([...steps, tellFact(200, 'uuid_1', SHARED)], SHARED)?.subscribed).toBe(false);
      });

      test('a user that lost its address comes back with another', () => {
        const steps = [...two, tellFact(100, 'uuid_1', 'one@example.com', { fact: { firstName: 'One' } })];
        expect(listShown(steps)).toEqual(['one@example.com', SHARED]);
        expect(findShown(steps, 'one@example.com')?.userId).toBe('uuid_1');
      });

      test('D14: the same user id in another namespace is another person', () => {
        const steps = [
          tellFact(0, 'pol_1', 'real@example.com', { fact: { userId: 'u' } }),
          tellFact(10, 'pol_1', 'tester@example.com', { namespace: 'st', fact: { userId: 'u' } }),
        ];
        expect(listShown(steps)).toEqual(['real@example.com', 'tester@example.com']);
      });

      test('a staging user takes no address from another user of its namespace', () => {
        const steps = [
          tellFact(0, 'user_1', SHARED, { namespace: 'st' }),
          tellFact(10, 'user_2', SHARED, { namespace: 'st' }),
        ];
        expect(runSteps(steps).map(c => c.userId)).toEqual(['user_1']);
      });

      test('D23: a sign-in does not take back the address that the API set; a new one does', () => {
        const steps = [
          tellFact(0, 'user_1', 'work@example.com', { type: 'created' }),
          writeContact(100, 'update', { userId: 'user_1', email: 'home@example.com' }),
          tellFact(200, 'user_1', 'work@example.com'),
        ];
        expect(listShown(steps)).toEqual(['home@example.com']);
        expect(listShown([...steps, tellFact(300, 'user_1', 'new@example.com')])).toEqual(['new@example.com']);
      });

      test('an address of a copy counts only where the person object has none', () => {
        const copy = tellCopy(50, 'cus_1', 'typed@example.com');
        expect(listShown([copy])).toEqual(['typed@example.com']);
        expect(listShown([tellFact(0, 'cus_1', 'own@example.com'), copy])).toEqual(['own@example.com']);
      });

      test('of 60 customers with one address 50 are tied; the deletion of a further one ends only itself', () => {
        const steps: Step[] = Array.from({ length: 60 }, (_, i) =>
          tellFact(i, `cus_${i}`, SHARED, { type: 'created' }),
        );
        expect(listShown(steps)).toEqual([SHARED]);
        steps.push(writeContact(100, 'update', { email: SHARED, subscribed: false }));
        expect(findShown(steps, SHARED)?.subscribed).toBe(false);
        const further = tellFact(90, 'cus_59', SHARED, { type: 'deleted', settings: { onDelete: 'delete' } });
        expect(listShown([...steps, further])).toEqual([SHARED]);
      });
    });

    describe('link rules', () => {
      const user = tellFact(0, 'user_1', 'u@example.com', { type: 'created', fact: { firstName: 'Uma' } });
      const payer = tellFact(10, 'cus_1', 'u@example.com', { type: 'created', settings: { userGroup: 'Customers' } });

      test('a: payers and guests are with whoever shows their address', () => {
        const steps = [
          payer,
          tellFact(5, 'guest', 'u@example.com', { settings: { properties: { seen: true } } }),
          user,
        ];
        expect(runSteps(steps)).toMatchObject([
          { email: 'u@example.com', userId: 'user_1', userGroup: 'Customers', properties: { seen: true } },
        ]);
      });

      test('b: a payer stays with the user who moves on', () => {
        const steps = [user, payer, tellFact(100, 'user_1', 'new@example.com', { fact: { firstName: 'Uma' } })];
        expect(runSteps(steps)).toMatchObject([{ email: 'new@example.com', userGroup: 'Customers' }]);
      });

      test('b: until another person proves that address', () => {
        const steps = [
          user,
          payer,
          tellFact(100, 'user_1', 'new@example.com'),
          tellFact(200, 'user_2', 'u@example.com'),
        ];
        expect(findShown(steps, 'u@example.com')).toMatchObject({ userId: 'user_2', userGroup: 'Customers' });
        expect(findShown(steps, 'new@example.com')?.userGroup).toBe('');
      });

      test('b: a payer who comes after the user moved on is not theirs', () => {
        const steps = [user, tellFact(100, 'user_1', 'new@example.com'), tellFact(200, 'cus_9', 'u@example.com')];
        expect(listShown(steps)).toEqual(['new@example.com', 'u@example.com']);
      });

      test('b: a guest goes with the user who last proved the address, unless an identity shows it', () => {
        const guest = tellFact(300, 'guest', 'u@example.com', { settings: { properties: { seen: true } } });
        const moved = [user, tellFact(100, 'user_1', 'new@example.com'), guest];
        expect(runSteps(moved)).toMatchObject([{ email: 'new@example.com', properties: { seen: true } }]);
        const shown = [...moved, tellFact(200, 'cus_9', 'u@example.com')];
        expect(findShown(shown, 'u@example.com')?.properties).toEqual({ seen: true });
      });

      test('c: a payer who moves on leaves, with what is its own', () => {
        const steps = [user, payer, tellFact(100, 'cus_1', 'p@example.com')];
        expect(runSteps(steps)).toMatchObject([
          { email: 'p@example.com', userId: null, userGroup: 'Customers' },
          { email: 'u@example.com', userId: 'user_1', userGroup: '' },
        ]);
      });

      test('c: the API writes to a payer who moves alone move along', () => {
        const steps = [payer, writeContact(50, 'update', { email: 'u@example.com', firstName: 'Zoe' })];
        const moved = [...steps, tellFact(100, 'cus_1', 'p@example.com')];
        expect(runSteps(moved)).toMatchObject([{ email: 'p@example.com', firstName: 'Zoe' }]);
      });

      test('d: an unproven sign-up holds an address that nobody proved or showed', () => {
        expect(runSteps([tellUnproven(0, 'user_1', 'a@example.com')])).toMatchObject([{ userId: 'user_1' }]);
      });

      test('d: and a minute is left for a checkout and a sign-up that belong together', () => {
        const soon = [tellFact(0, 'cus_1', 'a@example.com'), tellUnproven(60, 'user_1', 'a@example.com')];
        const late = [tellFact(0, 'cus_1', 'a@example.com'), tellUnproven(61, 'user_1', 'a@example.com')];
        const move = (second: number) => tellUnproven(second, 'user_1', 'b@example.com');
        expect(listShown([...soon, move(100)])).toEqual(['a@example.com', 'b@example.com']);
        const name = { fact: { firstName: 'Eve', proven: false } };
        expect(
          findShown([late[0]!, tellFact(61, 'user_1', 'a@example.com', name)], 'a@example.com')?.firstName,
        ).toBeNull();
        expect(findShown([soon[0]!, tellFact(60, 'user_1', 'a@example.com', name)], 'a@example.com')?.firstName).toBe(
          'Eve',
        );
      });

      test('d: it counts from the moment of proof', () => {
        const steps = [
          tellFact(0, 'cus_1', 'a@example.com', { fact: { firstName: 'Pay' } }),
          tellUnproven(100, 'user_1', 'a@example.com', { fact: { firstName: 'Uma' } }),
        ];
        expect(runSteps(steps)).toMatchObject([{ userId: null, firstName: 'Pay', source: 'Stripe webhook' }]);
        steps.push(tellFact(200, 'user_1', 'a@example.com', { fact: { firstName: 'Uma' } }));
        expect(runSteps(steps)).toMatchObject([{ userId: 'user_1', firstName: 'Uma', source: 'Stripe webhook' }]);
      });

      test('d: who proves an address displaces who only typed it', () => {
        const steps = [tellUnproven(0, 'user_1', 'a@example.com', { fact: { firstName: 'Eve' } })];
        steps.push(tellFact(500, 'user_2', 'a@example.com'));
        expect(runSteps(steps)).toMatchObject([{ userId: 'user_2', firstName: null }]);
      });

      test('e: who moves from Supabase to Clerk stays one contact, also after the old account is deleted', () => {
        const steps = [
          tellFact(0, 'uuid_1', 'm@example.com', { type: 'created', fact: { firstName: 'Mia' } }),
          tellFact(DAY, 'user_1', 'm@example.com', { type: 'created' }),
        ];
        expect(runSteps(steps)).toMatchObject([{ userId: 'uuid_1', firstName: 'Mia' }]);
        steps.push(
          tellFact(DAY, 'uuid_1', 'm@example.com', {
            type: 'deleted',
            fact: { happenedAt: timeOf(2 * DAY) },
            settings: { onDelete: 'delete' },
          }),
        );
        expect(runSteps(steps)).toMatchObject([{ userId: 'user_1', firstName: 'Mia', subscribed: true }]);
      });

      test('e: a later payer joins and revives who is gone; another user never joins', () => {
        const gone = [
          tellFact(0, 'user_1', 'a@example.com', { fact: { firstName: 'Old' } }),
          tellFact(100, 'user_1', null, { type: 'deleted' }),
        ];
        expect(runSteps(gone)).toMatchObject([{ subscribed: false, firstName: 'Old' }]);
        expect(runSteps([...gone, tellFact(200, 'cus_1', 'a@example.com')])).toMatchObject([
          { subscribed: true, firstName: 'Old' },
        ]);
        for (const id of ['user_2', 'uuid_2'])
          expect(runSteps([...gone, tellFact(200, id, 'a@example.com')])).toMatchObject([
            { subscribed: true, userId: id, firstName: null },
          ]);
      });

      test('f: an API contact and the first user who proves its address are one for good', () => {
        const steps = [
          writeContact(0, 'create', { email: 'a@example.com', firstName: 'Zoe' }),
          tellFact(100, 'user_1', 'a@example.com'),
          tellFact(200, 'user_1', 'b@example.com'),
        ];
        expect(runSteps(steps)).toMatchObject([{ email: 'b@example.com', firstName: 'Zoe', source: 'API' }]);
      });

      test('f: with a user id it is that user', () => {
        const steps = [
          writeContact(0, 'create', { email: 'a@example.com', userId: 'user_1', firstName: 'Zoe' }),
          tellFact(100, 'user_1', 'b@example.com'),
          tellFact(200, 'user_2', 'a@example.com'),
        ];
        expect(runSteps(steps)).toMatchObject([
          { email: 'a@example.com', userId: 'user_2', firstName: null },
          { email: 'b@example.com', userId: 'user_1', firstName: 'Zoe' },
        ]);
      });

      test('a group whose user has no address is where its payer is, if no other user is there', () => {
        const steps = [
          tellFact(0, 'user_1', null),
          tellFact(10, 'pol_1', 'p@example.com', { fact: { userId: 'user_1' } }),
        ];
        expect(runSteps(steps)).toMatchObject([{ email: 'p@example.com', userId: 'user_1' }]);
        const other = tellFact(100, 'user_2', 'p@example.com');
        expect(runSteps([...steps, other])).toMatchObject([{ email: 'p@example.com', userId: 'user_2' }]);
      });
    });

    describe('hostile people', () => {
      const victims = ['v1', 'v2', 'v3'].map((v, i) =>
        tellFact(i, `cus_${v}`, `${v}@example.com`, { type: 'created', fact: { firstName: v.toUpperCase() } }),
      );
      const typed = [
        ...['v1', 'v2', 'v3', 'evil'].map((v, i) =>
          tellFact(100 + i, 'cus_evil', `${v}@example.com`, { fact: { firstName: 'Mallory' } }),
        ),
      ];
      const evil = tellFact(50, 'cus_evil', 'evil@example.com', { type: 'created', fact: { firstName: 'Mallory' } });
      const clean = ['v1', 'v2', 'v3'].map(v => ({
        email: `${v}@example.com`,
        firstName: v.toUpperCase(),
        subscribed: true,
      }));

      test('S01: typing strangers’ addresses pulls nobody together, at any moment', () => {
        for (let i = 0; i <= typed.length; i++)
          expect(
            runSteps([...victims, evil, ...typed.slice(0, i)]).filter(c => c.email !== 'evil@example.com'),
          ).toMatchObject(clean);
      });

      test('S01: nor API contacts without a user id, nor by checkouts, nor by an old unsubscribe link', () => {
        const made = ['v1', 'v2', 'v3'].map((v, i) =>
          writeContact(i, 'create', { email: `${v}@example.com`, firstName: v.toUpperCase() }),
        );
        const copies = ['v1', 'v2'].map((v, i) => tellCopy(200 + i, 'cus_evil', `${v}@example.com`));
        const attack = [evil, ...typed.slice(0, 2), clickLink(150, 'evil@example.com'), ...copies];
        for (const people of [victims, made])
          expect(runSteps([...people, ...attack]).filter(c => c.email !== 'evil@example.com')).toMatchObject(clean);
      });

      test('S02: an unproven sign-up takes neither name nor user id nor the payer along', () => {
        const steps = [
          tellFact(0, 'cus_1', 'payer@example.com', { fact: { firstName: 'Pay' } }),
          tellUnproven(100, 'uuid_evil', 'payer@example.com', { fact: { firstName: 'go to https://evil' } }),
        ];
        expect(runSteps(steps)).toMatchObject([{ email: 'payer@example.com', firstName: 'Pay', userId: null }]);
        steps.push(tellUnproven(200, 'uuid_evil', 'thief@example.com'));
        expect(findShown(steps, 'payer@example.com')).toMatchObject({ firstName: 'Pay', userId: null });
      });

      test('nobody silences others by typing their address', () => {
        const steps = [
          victims[0]!,
          evil,
          clickLink(60, 'evil@example.com'),
          tellFact(100, 'cus_evil', 'v1@example.com', { fact: { firstName: 'Mallory' } }),
        ];
        expect(findShown(steps, 'v1@example.com')).toMatchObject({ firstName: 'V1', subscribed: true });
        const guest = [tellFact(0, 'guest', 'v1@example.com'), ...steps.slice(1)];
        expect(findShown(guest, 'v1@example.com')?.subscribed).toBe(true);
        const later = [...steps.slice(1), tellFact(200, 'guest', 'v1@example.com')];
        expect(findShown(later, 'v1@example.com')?.subscribed).toBe(false);
      });
    });

    describe('ties of one time', () => {
      const alma = { firstName: 'Alma', lastName: null, email: 'sql@example.com' };
      const tell = (
        type: 'created' | 'updated',
        name: string,
        former: string | null,
        plan: string,
        formerPlan?: string,
      ) =>
        tellFact(0, 'uuid_1', 'sql@example.com', {
          type,
          externalId: `evt_${Math.random()}`,
          fact: { firstName: name, former: former === null ? null : { ...alma, firstName: former } },
          settings: { properties: { plan }, formerProperties: formerPlan === undefined ? {} : { plan: formerPlan } },
        });

      test('B06: edits that leave updated_at alone follow their old rows', () => {
        countRuns(20, seed => {
          const steps = [
            tell('created', 'Alma', null, 'free'),
            tell('updated', 'Berta', 'Alma', 'basic', 'free'),
            tell('updated', 'Carla', 'Berta', 'pro', 'basic'),
          ];
          expect(runSteps(shuffle(steps, seed))).toMatchObject([{ firstName: 'Carla', properties: { plan: 'pro' } }]);
        });
      });

      test('B08: Stripe’s updates of one second follow previous_attributes', () => {
        countRuns(20, seed => {
          const plan = (second: number, value: string, former: string | null) =>
            tellFact(second, 'cus_1', 'tie@example.com', {
              externalId: `evt_${Math.random()}`,
              settings: { properties: { plan: value }, formerProperties: former === null ? {} : { plan: former } },
            });
          const steps = [plan(0, 'free', null), plan(10, 'trial', 'free'), plan(10, 'pro', 'trial')];
          expect(runSteps(shuffle(steps, seed))).toMatchObject([{ properties: { plan: 'pro' } }]);
        });
      });

      test('a ring begins at the value shown before', () => {
        const move = (from: string, to: string) =>
          tellFact(10, 'cus_1', `${to}@example.com`, {
            externalId: `evt_${Math.random()}`,
            fact: { former: { email: `${from}@example.com` } },
          });
        countRuns(20, seed => {
          const steps = [tellFact(0, 'cus_1', 'a@example.com'), move('a', 'b'), move('b', 'a'), move('a', 'c')];
          expect(listShown(shuffle(steps, seed))).toEqual(['c@example.com']);
        });
      });

      test('Clerk’s own time of sending decides where the chain says nothing', () => {
        const at = (sentAt: number, firstName: string, externalId: string) =>
          tellFact(0, 'user_1', 'a@example.com', { externalId, fact: { sentAt, firstName } });
        expect(runSteps([at(2, 'Second', 'evt_a'), at(1, 'First', 'evt_b')])).toMatchObject([{ firstName: 'Second' }]);
      });
    });

    describe('deletions', () => {
      const expectGone = (steps: Step[]) => expect(runSteps(steps)).toEqual([]);

      test('D5a: a Supabase deletion counts from when it happened, not from the row’s last change', () => {
        const steps = [
          tellFact(0, 'uuid_1', 'a@example.com', { type: 'created' }),
          writeContact(10 * DAY, 'update', { email: 'a@example.com', subscribed: true }),
          tellFact(0, 'uuid_1', 'a@example.com', {
            type: 'deleted',
            arrives: 20 * DAY,
            fact: { happenedAt: timeOf(20 * DAY) },
          }),
        ];
        expect(runSteps(steps)).toMatchObject([{ subscribed: false }]);
      });

      test('D5b: the deletion that happened last decides', () => {
        const steps = [
          tellFact(0, 'uuid_1', 'a@example.com', { type: 'created' }),
          tellFact(5, 'cus_1', 'a@example.com', { type: 'created' }),
          tellFact(19 * DAY, 'cus_1', 'a@example.com', { type: 'deleted' }),
          tellFact(0, 'uuid_1', 'a@example.com', {
            type: 'deleted',
            arrives: 20 * DAY,
            fact: { happenedAt: timeOf(20 * DAY) },
            settings: { onDelete: 'delete' },
          }),
        ];
        expectGone(steps);
      });

      test('D5c: a guest checkout is nobody who is left', () => {
        expectGone([
          tellFact(0, 'user_1', 'a@example.com', { type: 'created' }),
          tellFact(DAY, 'guest', 'a@example.com'),
          tellFact(2 * DAY, 'user_1', null, { type: 'deleted', settings: { onDelete: 'delete' } }),
        ]);
      });

      const remembered = tellFact(0, 'guest', 'a@example.com', {
        fact: { firstName: 'Old' },
        settings: { properties: { ssn: '123' }, lists: ['news'], userGroup: 'Buyers' },
      });
      const again = tellFact(500, 'guest', 'a@example.com');
      const blank = { firstName: null, userGroup: '', properties: {}, lists: [] };

      test('D6: a removal forgets what the address knew', () => {
        const byWebhook = [
          remembered,
          tellFact(10, 'cus_1', 'a@example.com', { type: 'created' }),
          tellFact(20, 'cus_1', null, { type: 'deleted', settings: { onDelete: 'delete' } }),
        ];
        expectGone(byWebhook);
        expect(runSteps([...byWebhook, again])).toMatchObject([blank]);
        const byCall = [remembered, removeContact(100, { email: 'a@example.com' })];
        expectGone(byCall);
        expect(runSteps([...byCall, again])).toMatchObject([blank]);
      });

      test('while another identity is live, names and values stay and only the user id goes', () => {
        const steps = [
          tellFact(0, 'user_1', 'a@example.com', {
            fact: { firstName: 'Ada' },
            settings: { properties: { plan: 'pro' } },
          }),
          tellFact(10, 'cus_1', 'a@example.com'),
          tellFact(20, 'user_1', null, { type: 'deleted', settings: { onDelete: 'delete' } }),
        ];
        expect(runSteps(steps)).toMatchObject([
          { userId: null, firstName: 'Ada', properties: { plan: 'pro' }, subscribed: true },
        ]);
      });

      test('a contact that the API made is live; one that it only wrote to is not', () => {
        const end = tellFact(100, 'user_1', null, { type: 'deleted', settings: { onDelete: 'delete' } });
        const user = tellFact(50, 'user_1', 'a@example.com');
        expect(listShown([writeContact(0, 'create', { email: 'a@example.com' }), user, end])).toEqual([
          'a@example.com',
        ]);
        expectGone([user, writeContact(60, 'update', { email: 'a@example.com', firstName: 'Zoe' }), end]);
      });

      test('who was withheld is forgotten with the contact, and a mere sign-in does not bring it forward', () => {
        const steps = [
          tellFact(0, 'cus_1', 'a@example.com'),
          tellUnproven(100, 'user_evil', 'a@example.com'),
          removeContact(200, { email: 'a@example.com' }),
        ];
        expectGone([...steps, tellUnproven(300, 'user_evil', 'a@example.com')]);
        expect(listShown([...steps, tellUnproven(300, 'user_other', 'a@example.com')])).toEqual(['a@example.com']);
      });

      test('ignore does nothing, and a late fact of somebody dead shows no address', () => {
        const user = tellFact(0, 'user_1', 'a@example.com');
        const ignored = tellFact(10, 'user_1', null, { type: 'deleted', settings: { onDelete: 'ignore' } });
        expect(runSteps([user, ignored])).toMatchObject([{ subscribed: true }]);
        const dead = tellFact(10, 'user_1', null, { type: 'deleted' });
        expect(listShown([user, dead, tellFact(20, 'user_1', 'b@example.com')])).toEqual(['a@example.com']);
      });
    });

    describe('replays and second endpoints', () => {
      test('D9: a replay replaces group, mapping and onDelete', () => {
        const first = tellFact(0, 'cus_1', 'a@example.com', {
          settings: { properties: { wrong: 1 }, lists: ['news'] },
        });
        const settings = { ...first.settings, userGroup: 'Customers', properties: { right: 2 }, lists: ['tips'] };
        const end = tellFact(50, 'cus_1', null, { type: 'deleted' });
        const replayed = [first, end, { ...first, arrivedAt: timeOf(60), settings }];
        expect(runSteps(replayed)).toMatchObject([
          { userGroup: 'Customers', properties: { right: 2 }, lists: ['news', 'tips'], subscribed: false },
        ]);
        const removed = { ...end, settings: { ...end.settings, onDelete: 'delete' as const } };
        expect(runSteps([...replayed, removed])).toEqual([]);
        expect(runSteps([...replayed, removed, end])).toEqual([]);
      });

      test('D10: of two endpoints that got one event the order of arrival does not matter', () => {
        const one = tellFact(0, 'cus_1', 'a@example.com', {
          endpoint: 'ep_a',
          settings: { properties: { from: 'A' } },
        });
        const endpoint = { ...one.endpoint, id: 'ep_b' };
        const two = { ...one, endpoint, settings: { ...one.settings, userGroup: 'B', properties: { from: 'B' } } };
        expect(runSteps([one, two])).toEqual(runSteps([two, one]));
        expect(runSteps([two, one])).toMatchObject([{ userGroup: 'B', properties: { from: 'B' } }]);
      });
    });

    describe('consent and lists', () => {
      for (const onDelete of ['delete', 'unsubscribe'] as const)
        test(`D2, B03: an opt-out outlives the account (${onDelete})`, () => {
          const steps = [
            tellFact(0, 'user_A', 'o@example.com', { type: 'created' }),
            clickLink(50, 'o@example.com'),
            tellFact(100, 'user_A', null, { type: 'deleted', settings: { onDelete } }),
            tellFact(200, 'user_B', 'o@example.com', { type: 'created' }),
          ];
          expect(runSteps(steps)).toMatchObject([{ userId: 'user_B', subscribed: false }]);
        });

      test('only a newer explicit true undoes it', () => {
        const out = [
          tellFact(0, 'user_1', 'o@example.com'),
          writeContact(10, 'update', { email: 'o@example.com', subscribed: false }),
        ];
        const isSubscribed = (step: Step) => findShown([...out, step], 'o@example.com')?.subscribed;
        expect(isSubscribed(writeContact(20, 'update', { email: 'o@example.com', firstName: 'Zoe' }))).toBe(false);
        expect(isSubscribed(writeContact(20, 'import', { email: 'o@example.com', subscribed: true }))).toBe(false);
        expect(isSubscribed(tellFact(20, 'cus_1', 'o@example.com'))).toBe(false);
        expect(isSubscribed(clickLink(20, 'o@example.com', true))).toBe(true);
        expect(isSubscribed(writeContact(20, 'update', { email: 'o@example.com', subscribed: true }))).toBe(true);
      });

      test('D8: no import subscribes who left, found by user id or made anew', () => {
        const left = [
          writeContact(0, 'create', { email: 'left@example.com', userId: 'u_left' }),
          writeContact(10, 'update', { email: 'left@example.com', subscribed: false }),
        ];
        const byId = writeContact(20, 'import', { email: 'new@example.com', userId: 'u_left', subscribed: true });
        expect(runSteps([...left, byId])).toMatchObject([{ email: 'new@example.com', subscribed: false }]);
        const anew = [
          removeContact(20, { email: 'left@example.com' }),
          writeContact(30, 'import', { email: 'left@example.com', subscribed: true }),
        ];
        expect(runSteps([...left, ...anew])).toMatchObject([{ email: 'left@example.com', subscribed: false }]);
      });

      test('a person who is out stays out at another address', () => {
        const steps = [
          tellFact(0, 'user_1', 'a@example.com'),
          clickLink(10, 'a@example.com'),
          tellFact(20, 'user_1', 'b@example.com'),
        ];
        expect(runSteps(steps)).toMatchObject([{ email: 'b@example.com', subscribed: false }]);
      });

      test('the opt-out survives an erasure, and nothing else does', () => {
        const steps: Step[] = [
          tellFact(0, 'user_1', 'a@example.com', { fact: { firstName: 'Ada' } }),
          clickLink(10, 'a@example.com'),
          { kind: 'erase', arrivedAt: timeOf(20), email: 'a@example.com' },
        ];
        expect(runSteps(steps)).toEqual([]);
        expect(runSteps([...steps, tellFact(30, 'user_2', 'a@example.com')])).toMatchObject([
          { subscribed: false, firstName: null },
        ]);
      });

      test('D11: a list that was joined while subscribed stays; nothing is added while unsubscribed', () => {
        const pay = (second: number) => tellCopy(second, 'cus_1', null, { settings: { lists: ['news'] } });
        const say = (second: number, subscribed: boolean) =>
          writeContact(second, 'update', { email: 'a@example.com', subscribed });
        const steps = [tellFact(0, 'cus_1', 'a@example.com'), say(10, false), pay(20)];
        expect(runSteps([...steps, say(30, true)])).toMatchObject([{ lists: [] }]);
        const joined = [...steps, say(30, true), pay(40), say(50, false), pay(60)];
        expect(runSteps(joined)).toMatchObject([{ lists: ['news'], subscribed: false }]);
      });

      test('a webhook never adds a list again that the API left', () => {
        const steps = [
          tellFact(0, 'cus_1', 'a@example.com', { settings: { lists: ['news'] } }),
          writeContact(10, 'update', { email: 'a@example.com', lists: { news: false } }),
          tellFact(20, 'cus_1', 'a@example.com', { settings: { lists: ['news'] } }),
        ];
        expect(runSteps(steps)).toMatchObject([{ lists: [] }]);
      });
    });

    describe('names, groups and answers', () => {
      test('names: class before authority before time; an address is no name; null blanks nothing', () => {
        const name = (firstName: string | null) => ({ fact: { firstName } });
        const payer = tellFact(0, 'cus_1', 'a@example.com', name('Pay'));
        expect(runSteps([payer, tellCopy(10, 'cus_1', null, name('Copy'))])).toMatchObject([{ firstName: 'Pay' }]);
        expect(runSteps([payer, tellFact(10, 'cus_1', null, name(null))])).toMatchObject([{ firstName: 'Pay' }]);
        expect(runSteps([payer, tellFact(10, 'cus_1', null, name('a@example.com'))])).toMatchObject([
          { firstName: 'Pay' },
        ]);
        expect(runSteps([tellFact(0, 'user_1', 'a@example.com', name('User')), payer])).toMatchObject([
          { firstName: 'User' },
        ]);
        const younger = tellFact(10, 'cus_2', 'a@example.com', name('Late'));
        expect(runSteps([younger, payer])).toMatchObject([{ firstName: 'Pay' }]);
      });

      test('a repeat takes back nothing that the API set since; a change does', () => {
        const name = (second: number, firstName: string) =>
          tellFact(second, 'user_1', 'a@example.com', { fact: { firstName } });
        const steps = [
          name(0, 'Ada'),
          writeContact(10, 'update', { userId: 'user_1', firstName: 'Zoe' }),
          name(20, 'Ada'),
        ];
        expect(runSteps(steps)).toMatchObject([{ firstName: 'Zoe' }]);
        expect(runSteps([...steps, name(30, 'Eda')])).toMatchObject([{ firstName: 'Eda' }]);
      });

      test('userId: one by which the API merely finds somebody is not set', () => {
        const steps = [
          tellFact(0, 'uuid_1', 'a@example.com'),
          tellFact(10, 'user_1', 'a@example.com'),
          writeContact(20, 'update', { userId: 'user_1', firstName: 'Zoe' }),
        ];
        expect(runSteps(steps)).toMatchObject([{ userId: 'uuid_1', firstName: 'Zoe' }]);
        const set = writeContact(30, 'update', { email: 'a@example.com', userId: 'crm_9' });
        expect(runSteps([...steps, set])).toMatchObject([{ userId: 'crm_9' }]);
      });

      test('create of somebody known, two people in one write, and removal of nobody are refused', () => {
        const model = makeAudience();
        const take = (step: Step) => model.take(step);
        take(tellFact(0, 'user_1', 'before@example.com'));
        take(tellFact(10, 'user_1', 'after@example.com'));
        take(tellFact(20, 'user_2', 'other@example.com'));
        expect(take(writeContact(30, 'create', { email: 'after@example.com' }))).toBe('refused');
        expect(take(writeContact(30, 'create', { email: 'before@example.com' }))).toBe('refused');
        expect(take(writeContact(30, 'update', { email: 'after@example.com', userId: 'user_2' }))).toBe('refused');
        expect(take(removeContact(30, { email: 'nobody@example.com' }))).toBe('refused');
        expect(take(writeContact(40, 'update', { email: 'nobody@example.com' }))).toBe('done');
        expect((model.contacts() as { email: string }[]).map(c => c.email)).toEqual([
          'after@example.com',
          'nobody@example.com',
          'other@example.com',
        ]);
      });
    });
  });

describe('random histories', () => {
  test('a payer who typed everybody’s address and left again leaves no trace', () => {
    const knobs = {
      withDeletions: false,
      withWrites: false,
      withApiDeletes: false,
      withUnproven: false,
      withLinks: false,
      withErasures: false,
    };
    const settings = { userGroup: 'Evil', properties: { plan: 'evil' } };
    for (let seed = 1; seed <= 100; seed++) {
      const steps = generateHistory(seed, { steps: 30, ...knobs });
      const addresses = [...steps.flatMap(s => (s.kind === 'fact' ? (s.fact.email ?? []) : [])), 'evil@example.com'];
      const evil = addresses.map((email, i) => {
        const second = Math.floor((steps[Math.min(i, steps.length - 1)]!.arrivedAt - timeOf(0)) / 1000);
        return tellFact(second + i, 'cus_evil', email, { fact: { firstName: 'Mallory' }, settings });
      });
      const mixed = [...steps, ...evil].toSorted((a, b) => a.arrivedAt - b.arrivedAt);
      expect(runSteps(mixed).filter(c => c.email !== 'evil@example.com')).toEqual(runSteps(steps));
    }
  });

  test('facts between the same writes give the same contacts in any order of arrival', async () => {
    for (let seed = 1; seed <= 300; seed++) {
      const steps = generateHistory(seed, { steps: 30 });
      const contacts = runSteps(steps);
      expect(new Set(contacts.map(c => c.email)).size).toBe(contacts.length);
      const userIds = contacts.flatMap(c => c.userId ?? []);
      expect(new Set(userIds).size).toBe(userIds.length);
      const expected = JSON.stringify(contacts);
      for (let order = 1; order <= 5; order++) {
        const mix = (some: Step[]) => shuffle(some, seed * 10 + order);
        if (JSON.stringify(runSteps(mix(steps))) === expected) continue;
        const differs = (some: Step[]) => JSON.stringify(runSteps(some)) !== JSON.stringify(runSteps(mix(some)));
        const small = await shrink(steps, differs);
        expect({ seed, order, steps: mix(small), contacts: runSteps(mix(small)) }).toEqual({
          seed,
          order,
          steps: small,
          contacts: runSteps(small),
        });
      }
    }
  }, 300_000);
});
