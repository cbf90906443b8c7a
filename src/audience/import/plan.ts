import { invalid } from '../../errors.ts';
import { peopleProviders } from '../../providers/index.ts';
import { coerce, type PropertyType } from '../coerce.ts';
import { BITE_BYTES, decodeLatin1, readRows, unescapeCell } from '../csv.ts';
import { PROPERTY_KEY, RESERVED_KEYS } from '../properties.ts';
import { saysNothing } from './consent.ts';
import { startOf } from './layout.ts';
import { askAbout, isConsentKind, judgeColumn } from './optOut.ts';
import { trimInvisible } from './signs.ts';
import { isConsent, type Plan, type Target } from './targets.ts';

/** What a caller says about a file. `columns`: header → what it means, null passes it over. */
export interface ImportOptions {
  columns: Record<string, string | null>;
  mailingLists: string[];
  createProperties: boolean;
  dryRun: boolean;
  /** What the uploader says of everybody in the file. */
  subscribed: boolean | null;
}

export const CHUNK_BYTES = 262_144; // of a file as it is stored: the plan is made of the first one
const MAX_COLUMNS = 500;
const SAMPLE = 1000; // rows that tell the type of a new property
const FIELDS = ['email', 'firstName', 'lastName', 'userId', 'source', 'userGroup'] as const;
const OTHERS = ['subscribed', 'unsubscribed', 'optOutTime', 'mailingLists', 'providerIds'] as const;
const TYPES: PropertyType[] = ['string', 'number', 'boolean', 'date'];
/** Headers, without spaces and signs and in lower case, that mean something else than they say. */
const ALSO: Record<string, string> = {
  emailaddress: 'email',
  mail: 'email',
  givenname: 'firstName',
  surname: 'lastName',
  familyname: 'lastName',
  lists: 'mailingLists',
  group: 'userGroup',
};
/** What an export holds and an import does not take: Inlet tells these itself. */
const PASSED_OVER = new Set([
  'id',
  'contactid',
  'createdat',
  'updatedat',
  'mailinglistnames',
  'notes',
  'teamid',
  'listid',
  'softdeleteat',
]);

const simplifyHeader = (header: string) => header.toLowerCase().replace(/[^a-z0-9]/g, '');
const BY_NAME = new Map(
  [...FIELDS, 'mailingLists', 'providerIds', ...peopleProviders.map(each => each.id)].map(name => [
    name.toLowerCase(),
    name as string,
  ]),
);

/** What a mapping's word stands for. @throws AppError invalid */
function readTarget(word: string, header: string): Target | { kind: 'property'; key: string; type: null } {
  if ((FIELDS as readonly string[]).includes(word)) return { kind: 'field', field: word as (typeof FIELDS)[number] };
  const other = OTHERS.find(name => name === word);
  if (other) return { kind: other };
  const provider = word.replace(/:personId$/, '');
  if (peopleProviders.some(each => each.id === provider)) return { kind: 'provider', provider };
  const [key = '', type = null] = word.split(':', 2);
  const known = type === null ? null : TYPES.find(each => each === type);
  if (known === undefined || !PROPERTY_KEY.test(key) || RESERVED_KEYS.has(key)) {
    throw invalid(
      `columns.${header.slice(0, 60)}: means nothing here. Use ${[...FIELDS, ...OTHERS].join(', ')}, ${peopleProviders.map(each => each.id).join(', ')}, or the name of a property such as planName or seats:number.`,
    );
  }
  return known === null ? { kind: 'property', key, type: null } : { kind: 'property', key, type: known };
}

/** A number as text, where no digit is lost by making it one: the API's rule, and no more digits than a number holds. */
export function numberOf(text: string): number | undefined {
  const value = coerce(text, 'number');
  const digits = text.replace(/^[-0.\s]+/, '').replace(/\D/g, '').length;
  return typeof value === 'number' && digits <= 15 ? value : undefined;
}

/** A new property holds numbers or booleans where all of the first rows do. */
function inferCellType(cells: string[]): PropertyType {
  const given = cells.filter(text => !saysNothing(text));
  if (given.length && given.every(text => numberOf(text) !== undefined)) return 'number';
  return given.length && given.every(text => text === 'true' || text === 'false') ? 'boolean' : 'string';
}

interface Known {
  properties: Map<string, PropertyType>;
  lists: Set<string>;
}

/** How the file that begins with `head` will be read. `made`: properties that do not exist yet. @throws AppError invalid */
export async function planOf(head: Buffer, options: ImportOptions, known: Known) {
  const { delimiter, start, lines } = startOf(head);
  const text = head.subarray(start);
  let at = 0;
  const more = async () => {
    const bite = text.subarray(at, at + BITE_BYTES);
    at += bite.length;
    return bite.length ? bite : null;
  };
  const { rows, trouble } = await readRows(more, delimiter, SAMPLE, MAX_COLUMNS);
  const first = rows[0];
  if (!first)
    throw invalid(`body: ${trouble ? `the header ${trouble}` : 'is empty. Send a CSV file with a header row.'}`);
  if (first.width > MAX_COLUMNS) throw invalid(`body: has ${first.width} columns; at most ${MAX_COLUMNS}.`);
  const header = first.cells.map(each => trimInvisible(decodeLatin1(each) ?? refuseHeader()));
  const complete = rows.filter(row => head.length < CHUNK_BYTES || row.end < text.length); // the last may be cut off
  const sample = (i: number) => complete.slice(1).map(row => unescapeCell(decodeLatin1(row.cells[i] ?? '') ?? ''));
  const targets = chooseTargets(header, options, known, sample);
  const missing = options.mailingLists.find(id => !known.lists.has(id));
  if (missing !== undefined)
    throw invalid(`mailingLists: no list ${missing.slice(0, 60)}. GET /api/v1/lists shows the ids.`);
  const plan: Plan = {
    delimiter,
    start: start + first.end,
    header,
    targets,
    mailingLists: options.mailingLists,
    dryRun: options.dryRun,
    subscribed: options.subscribed,
    firstLine: lines + first.empties + 2,
  };
  const made = targets.flatMap(each => (each?.kind === 'property' && !known.properties.has(each.key) ? [each] : []));
  return { plan, made };
}

function refuseHeader(): never {
  throw invalid('body: the header is not UTF-8. Save the file as CSV in UTF-8.');
}

/** A target for each column. @throws AppError invalid */
function chooseTargets(
  header: string[],
  options: ImportOptions,
  known: Known,
  sample: (i: number) => string[],
): (Target | null)[] {
  const unknown = Object.keys(options.columns).find(name => !header.includes(name));
  if (unknown !== undefined)
    throw invalid(
      `columns.${unknown.slice(0, 60)}: the file has no such column. It has ${header.slice(0, 30).join(', ').slice(0, 500)}.`,
    );
  const asked: { header: string; values: string[] }[] = [];
  const targets = header.map((name, i) => {
    const given = findWord(name, options);
    const word = given === undefined ? decideColumn(name, sample(i), options, known) : given;
    if (word === ASKED) asked.push({ header: name, values: sample(i) });
    if (word === null || word === ASKED) return null;
    const target = readTarget(word, name);
    if (target.kind !== 'property') return target;
    const type = known.properties.get(target.key);
    if (type && target.type && type !== target.type)
      throw invalid(`columns.${name.slice(0, 60)}: the property ${target.key} is a ${type}.`);
    return { ...target, type: type ?? target.type ?? inferCellType(sample(i)) };
  });
  requireOneEach(header, targets);
  if (!targets.some(each => each?.kind === 'field' && each.field === 'email'))
    throw invalid('columns: no column holds the address. Name it: columns={"E-mail of customer":"email"}.');
  if (asked.length) askAbout(asked);
  return targets;
}

/** No two columns mean the same, but several may tell who opted out. @throws AppError invalid */
function requireOneEach(header: string[], targets: (Target | null)[]): void {
  const seen = new Set<string>();
  for (const [i, target] of targets.entries()) {
    if (target === null || isConsent(target)) continue;
    const meaning = JSON.stringify({ ...target, type: undefined });
    const name = (header[i] ?? '').slice(0, 60);
    if (seen.has(meaning))
      throw invalid(`columns.${name}: two columns mean the same. Pass one of them over: {"${name}":null}.`);
    seen.add(meaning);
  }
}

/** What a column means by the caller's mapping or its name alone: null passes it over, undefined leaves it open. */
function findWord(name: string, { columns }: ImportOptions): string | null | undefined {
  if (Object.hasOwn(columns, name)) return columns[name] || null;
  const simple = simplifyHeader(name);
  if (PASSED_OVER.has(simple)) return null;
  return BY_NAME.get(simple) ?? (Object.hasOwn(ALSO, simple) ? ALSO[simple] : undefined);
}

const ASKED = Symbol('asked');

/** What a column means by its name and values: who opted out, or a property. */
function decideColumn(
  name: string,
  values: string[],
  options: ImportOptions,
  known: Known,
): string | null | typeof ASKED {
  const exists = known.properties.has(name);
  const judgement = judgeColumn(name, values, exists);
  if (judgement === 'asked' && options.subscribed === null && !exists) return ASKED;
  if (isConsentKind(judgement)) return judgement;
  if (simplifyHeader(name) === 'subscribed') return null; // when somebody subscribed
  const may = exists || options.createProperties;
  return may && PROPERTY_KEY.test(name) && !RESERVED_KEYS.has(name) ? name : null;
}
