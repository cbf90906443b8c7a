import type { ImportPlan, ImportTarget } from '../../db/schema.ts';
import { invalid } from '../../errors.ts';
import { allProviders, providerById } from '../../providers/index.ts';
import { readRows, textOf } from '../csv.ts';
import type { PropertyType } from '../coerce.ts';
import { PROPERTY_KEY, RESERVED_KEYS } from '../properties.ts';

/** What a caller says about a file. `columns`: header → what it means, null passes it over. */
export interface ImportOptions {
  columns: Record<string, string | null>;
  mailingLists: string[];
  createProperties: boolean;
  dryRun: boolean;
}

const MAX_COLUMNS = 500;
const SAMPLE = 1000; // rows that tell the type of a new property
const FIELDS = ['email', 'firstName', 'lastName', 'userId', 'source', 'userGroup'] as const;
const OTHERS = ['subscribed', 'mailingLists', 'providerIds'] as const;
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
  'optinstatus',
  'notes',
  'teamid',
  'listid',
  'softdeleteat',
]);

const plainName = (header: string) => header.toLowerCase().replace(/[^a-z0-9]/g, '');
const BY_NAME = new Map(
  [...FIELDS, ...OTHERS, ...allProviders.map(each => each.id)].map(name => [name.toLowerCase(), name as string]),
);

/** The first line's separator: whichever of , ; and tab is there most often outside of quotes. */
function delimiterOf(text: string): string {
  const line = text.replace(/"(?:[^"]|"")*("|$)/g, '').split(/[\r\n]/, 1)[0] ?? '';
  const count = (sign: string) => line.split(sign).length;
  return [';', '\t'].reduce((most, sign) => (count(sign) > count(most) ? sign : most), ',');
}

/** What a mapping's word stands for. @throws AppError invalid */
function targetOf(word: string, header: string): ImportTarget | { kind: 'property'; key: string; type: null } {
  if ((FIELDS as readonly string[]).includes(word)) return { kind: 'field', field: word as (typeof FIELDS)[number] };
  const other = OTHERS.find(name => name === word);
  if (other) return { kind: other };
  const provider = word.replace(/:personId$/, '');
  if (providerById(provider)) return { kind: 'provider', provider };
  const [key = '', type = null] = word.split(':', 2);
  const known = type === null ? null : TYPES.find(each => each === type);
  if (known === undefined || !PROPERTY_KEY.test(key) || RESERVED_KEYS.has(key)) {
    throw invalid(
      `columns.${header.slice(0, 60)}: means nothing here. Use ${[...FIELDS, ...OTHERS].join(', ')}, ${allProviders.map(each => each.id).join(', ')}, or the name of a property such as planName or seats:number.`,
    );
  }
  return known === null ? { kind: 'property', key, type: null } : { kind: 'property', key, type: known };
}

const isNumber = (text: string) => /^-?(0|[1-9]\d{0,14})(\.\d{1,15})?$/.test(text);

/** A new property holds numbers or booleans where all of the first rows do. */
function typeOfCells(cells: string[]): PropertyType {
  const given = cells.filter(text => text !== '');
  if (given.length && given.every(isNumber)) return 'number';
  return given.length && given.every(text => text === 'true' || text === 'false') ? 'boolean' : 'string';
}

/** The first word of what goes wrong with a file that is no CSV in UTF-8, or null. */
function foreign(head: Buffer): string | null {
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) return 'it is UTF-16';
  if (head[0] === 0x50 && head[1] === 0x4b && head[2] === 3) return 'it is a spreadsheet or a ZIP file';
  if (head.subarray(0, 4096).includes(0)) return 'it is UTF-16 or no text at all';
  return null;
}

interface Known {
  properties: Map<string, PropertyType>;
  lists: Set<string>;
}

/** How the file that begins with `head` will be read. `made`: properties that do not exist yet. @throws AppError invalid */
export async function planOf(head: Buffer, options: ImportOptions, known: Known) {
  const wrong = foreign(head);
  if (wrong) throw invalid(`body: ${wrong}. Save it as CSV in UTF-8 and send that.`);
  const mark = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0;
  const text = head.subarray(mark);
  const delimiter = delimiterOf(text.toString('latin1', 0, 65_536));
  let given = false;
  const more = async () => {
    if (given) return null;
    given = true;
    return text;
  };
  const { rows, trouble } = await readRows(more, delimiter, SAMPLE);
  const first = rows[0];
  if (!first)
    throw invalid(`body: ${trouble ? `the header ${trouble}` : 'is empty. Send a CSV file with a header row.'}`);
  const header = first.cells.map(each => (textOf(each) ?? invalidHeader()).trim());
  if (header.length > MAX_COLUMNS) throw invalid(`body: has ${header.length} columns; at most ${MAX_COLUMNS}.`);
  const sample = (i: number) => rows.slice(1).map(row => row.cells[i] ?? '');
  const targets = settled(header, options, known, sample);
  const missing = options.mailingLists.find(id => !known.lists.has(id));
  if (missing !== undefined)
    throw invalid(`mailingLists: no list ${missing.slice(0, 60)}. GET /api/v1/lists shows the ids.`);
  const plan: ImportPlan = {
    delimiter,
    start: mark + first.end,
    header,
    targets,
    mailingLists: options.mailingLists,
    dryRun: options.dryRun,
  };
  const made = targets.flatMap(each => (each?.kind === 'property' && !known.properties.has(each.key) ? [each] : []));
  return { plan, made };
}

function invalidHeader(): never {
  throw invalid('body: the header is not UTF-8. Save the file as CSV in UTF-8.');
}

/** A target for each column. @throws AppError invalid */
function settled(
  header: string[],
  options: ImportOptions,
  known: Known,
  sample: (i: number) => string[],
): (ImportTarget | null)[] {
  const unknown = Object.keys(options.columns).find(name => !header.includes(name));
  if (unknown !== undefined)
    throw invalid(
      `columns.${unknown.slice(0, 60)}: the file has no such column. It has ${header.slice(0, 30).join(', ').slice(0, 500)}.`,
    );
  const targets = header.map((name, i) => {
    const word = wordOf(name, options);
    if (word === null) return null;
    const target = targetOf(word, name);
    if (target.kind !== 'property') return target;
    const type = known.properties.get(target.key);
    if (type && target.type && type !== target.type)
      throw invalid(`columns.${name.slice(0, 60)}: the property ${target.key} is a ${type}.`);
    return { ...target, type: type ?? target.type ?? typeOfCells(sample(i)) };
  });
  const names = targets.flatMap(each => (each === null ? [] : [JSON.stringify({ ...each, type: undefined })]));
  const twice = targets.findIndex(
    (each, i) =>
      each !== null &&
      names.indexOf(JSON.stringify({ ...each, type: undefined })) !== targets.slice(0, i).filter(Boolean).length,
  );
  if (twice >= 0)
    throw invalid(
      `columns.${(header[twice] ?? '').slice(0, 60)}: two columns mean the same. Pass one of them over: {"${(header[twice] ?? '').slice(0, 60)}":null}.`,
    );
  if (!targets.some(each => each?.kind === 'field' && each.field === 'email'))
    throw invalid('columns: no column holds the address. Name it: columns={"E-mail of customer":"email"}.');
  return targets;
}

function wordOf(name: string, { columns, createProperties }: ImportOptions): string | null {
  if (Object.hasOwn(columns, name)) return columns[name] || null;
  const simple = plainName(name);
  if (PASSED_OVER.has(simple)) return null;
  const word = BY_NAME.get(simple) ?? (Object.hasOwn(ALSO, simple) ? ALSO[simple] : undefined);
  if (word !== undefined) return word;
  return createProperties && PROPERTY_KEY.test(name) && !RESERVED_KEYS.has(name) ? name : null;
}
