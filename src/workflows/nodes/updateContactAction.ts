import { z } from 'zod';
import { coerce } from '../../audience/coerce.ts';
import type { Known } from '../graph.ts';
import { declareNode, moveOn, nextNodeIds, type Visit } from './node.ts';

const MAX_FIELDS = 50;
const FIELDS = ['firstName', 'lastName', 'userGroup'];
const NOT_HERE: Record<string, string> = {
  email: 'is not changed by a workflow',
  userId: 'is not changed by a workflow',
  source: 'is not changed by a workflow',
  subscribed: 'consent is never changed by a workflow',
};

const value = z.union([z.string().max(500), z.number(), z.boolean(), z.null()]);
type Value = z.output<typeof value>;
const fields = z.strictObject({
  set: z
    .record(z.string().min(1).max(100), value)
    .refine(set => Object.keys(set).length > 0, 'name at least one property')
    .refine(set => Object.keys(set).length <= MAX_FIELDS, `${MAX_FIELDS} properties at most`),
  nextNodeIds,
});

const VARIABLE = /\{\{\s*(event|contact)\.([^\s{}|]+)\s*\}\}/g;

/** The value with its variables filled in; one that is a variable alone keeps its type. Undefined: that variable has none. */
function fillIn(given: Value, { person }: Visit): Value | undefined {
  if (typeof given !== 'string' || !given.includes('{{')) return given;
  const lookUp = (of: string, name: string): Value => {
    const record = of === 'event' ? person.eventProperties : person.properties;
    return Object.hasOwn(record, name) ? (record[name] ?? null) : null;
  };
  const [alone] = given.matchAll(VARIABLE);
  if (alone && alone[0] === given.trim()) return lookUp(alone[1] ?? '', alone[2] ?? '') ?? undefined;
  return given.replace(VARIABLE, (_, of, name) => String(lookUp(of, name) ?? ''));
}

function findFieldProblem(name: string, given: Value, known: Known): string | null {
  if (Object.hasOwn(NOT_HERE, name)) return `set.${name}: ${NOT_HERE[name]}`;
  const type = known.typeOf(name);
  if (type === undefined) return `set.${name}: there is no property ${name}. Make it: POST /api/v1/contacts/properties`;
  if (typeof given === 'string' && given.includes('{{')) {
    const rest = given.replace(VARIABLE, '');
    return /\{\{|\}\}/.test(rest)
      ? `set.${name}: only {{ event.name }} and {{ contact.name }} can stand in a value`
      : null;
  }
  if (given === null) return name === 'userGroup' ? `set.${name}: give "" to empty it` : null;
  if (FIELDS.includes(name)) return null;
  return coerce(given, type) === undefined ? `set.${name}: must be a ${type}, as the property is` : null;
}

export const updateContactAction = declareNode({
  typeName: 'UpdateContactAction',
  summary:
    'sets properties of the contact, `{"plan":"pro","amount":"{{ event.amount }}"}`: custom ones, firstName, lastName, userGroup; a value may be null, or hold `{{ event.x }}` and `{{ contact.x }}`. Consent is never changed',
  fields,
  findProblem(node, known) {
    for (const [name, given] of Object.entries(node.set)) {
      const problem = findFieldProblem(name, given, known);
      if (problem) return problem;
    }
    return null;
  },
  enter({ set, nextNodeIds }, visit) {
    const filled: [string, Value][] = [];
    for (const [name, given] of Object.entries(set)) {
      const found = fillIn(given, visit);
      if (found !== undefined) filled.push([name, found]);
    }
    const write = { set: Object.fromEntries(filled) };
    return moveOn('updated', nextNodeIds[0], { write, detail: { set: Object.keys(write.set) } });
  },
});
