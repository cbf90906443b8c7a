import { z } from 'zod';
import { parseTime } from '../conditions.ts';
import {
  convertToMs,
  declareNode,
  findDurationProblem,
  leaveRun,
  type Move,
  moveOn,
  nextNodeIds,
  type Visit,
} from './node.ts';

const LOOK_MS = 86_400_000; // a property may change meanwhile: it is looked at this often
const SECONDS_BELOW = 1e11; // Stripe's times; as ms they would be before 1974

const name = z.string().min(1).max(100).optional();
const fields = z
  .strictObject({
    property: name,
    eventProperty: name,
    offset: z
      .strictObject({ amount: z.number().int(), unit: z.enum(['m', 'h', 'd']) })
      .default({ amount: 0, unit: 'd' }),
    nextNodeIds,
  })
  .refine(given => (given.property === undefined) !== (given.eventProperty === undefined), {
    path: ['property'],
    message: 'give property or eventProperty, one of them',
  });
type Fields = z.output<typeof fields>;

/** ms since 1970 of the date with the offset; NaN: there is none. */
function findMoment({ property = '', eventProperty, offset }: Fields, { person }: Visit): number {
  const [record, key] =
    eventProperty === undefined ? [person.properties, property] : [person.eventProperties, eventProperty];
  const value = Object.hasOwn(record, key) ? record[key] : null;
  const isSeconds = typeof value === 'number' && Math.abs(value) < SECONDS_BELOW;
  return (isSeconds ? value * 1000 : parseTime(value)) + convertToMs(offset);
}

function decide(node: Fields, visit: Visit): Move {
  const moment = findMoment(node, visit);
  if (Number.isNaN(moment))
    return leaveRun('stopped', `${node.property ?? node.eventProperty} holds no date to wait for`);
  if (moment <= visit.now) return moveOn('waited', node.nextNodeIds[0]);
  const waitUntil = node.property === undefined ? moment : Math.min(moment, visit.now + LOOK_MS);
  return { outcome: 'waiting', detail: { until: new Date(moment).toISOString() }, to: { waitUntil } };
}

/** Where the date is past already one goes on at once; who has none leaves. */
export const waitUntilAction = declareNode({
  typeName: 'WaitUntilAction',
  summary:
    'waits for the date in a contact `property` or an `eventProperty`, `offset` before (negative) or after it: `{"amount":-3,"unit":"d"}`',
  fields,
  findProblem(node, known) {
    const { amount, unit } = node.offset;
    const problem = findDurationProblem({ amount: Math.abs(amount), unit });
    if (problem) return `offset.${problem}`;
    if (node.property === undefined) return null;
    const type = known.typeOf(node.property);
    if (type === undefined) return `property: there is no property ${node.property}`;
    return type === 'date' ? null : `property: ${node.property} is a ${type}, not a date`;
  },
  enter: decide,
  resume: decide,
});
