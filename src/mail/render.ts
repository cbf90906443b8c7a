import { convert } from 'html-to-text';
import { Liquid, type Template } from 'liquidjs';
import type { MailContent } from '../db/schema.ts';
import { invalid } from '../errors.ts';

export const MAX_HTML = 512_000; // characters
const LIMITS = { parseLimit: 1_000_000, renderLimit: 500, memoryLimit: 20_000_000 };
// Own properties only, no files, no code: a template reads what it is given and nothing else.
const COMMON = { ...LIMITS, ownPropertyOnly: true, templates: {}, strictFilters: true };
const plain = new Liquid(COMMON);
const html = new Liquid({ ...COMMON, outputEscape: 'escape' });
for (const { tags } of [plain, html]) for (const tag of ['include', 'render', 'layout', 'block']) delete tags[tag];

/** What a mail's variables are filled from. */
export interface Values {
  contact: Record<string, unknown>;
  event: Record<string, unknown>;
  data: Record<string, unknown>;
  unsubscribeUrl: string;
}

export interface Rendered {
  subject: string;
  html: string;
  text: string;
}

const PARTS = ['subject', 'previewText', 'fromName', 'html', 'text'] as const;
const GROUPS = ['contact', 'event', 'data', 'unsubscribeUrl'];
const FALLBACKS = {
  contact: 'contactPropertiesFallbacks',
  event: 'eventPropertiesFallbacks',
  data: 'dataVariablesFallbacks',
} as const;

function parse(engine: Liquid, name: string, text: string): Template[] {
  try {
    return engine.parse(text);
  } catch (error) {
    const line = error instanceof Error ? error.message.split('\n')[0]?.replace(/, file:.*$/, '') : '';
    throw invalid(`${name}: ${line || 'can not be read as a template'}.`);
  }
}

/** The variables of a message as paths, `data.confirmationUrl`. @throws AppError invalid naming the part that can't be parsed */
export function variablesOf(content: MailContent): string[] {
  const found = new Set<string>();
  for (const part of PARTS) {
    const templates = parse(part === 'html' ? html : plain, part, content[part]);
    for (const [group, name] of plain.globalVariableSegmentsSync(templates)) {
      if (typeof group !== 'string' || !GROUPS.includes(group))
        throw invalid(
          `${part}: {{ ${String(group).slice(0, 60)} }} is no variable. They begin with contact., event. or data., or are unsubscribeUrl.`,
        );
      found.add(typeof name === 'string' ? `${group}.${name}` : group);
    }
  }
  return [...found].sort();
}

/** The data variables a message asks for, without `data.`. */
export const dataVariablesOf = (content: MailContent): string[] =>
  variablesOf(content).flatMap(path => (path.startsWith('data.') ? [path.slice(5)] : []));

/** Data variables that are not given and have no fallback. */
export const missingData = (content: MailContent, data: Record<string, unknown>): string[] =>
  dataVariablesOf(content).filter(
    name => !Object.hasOwn(data, name) && !Object.hasOwn(content.dataVariablesFallbacks, name),
  );

function filledIn(content: MailContent, values: Values): Values {
  const out = { ...values };
  for (const [group, key] of Object.entries(FALLBACKS) as [keyof typeof FALLBACKS, (typeof FALLBACKS)['data']][]) {
    const own = { ...values[group] };
    for (const [name, fallback] of Object.entries(content[key]))
      if (own[name] === undefined || own[name] === null || own[name] === '') own[name] = fallback;
    out[group] = own;
  }
  return out;
}

/** What may stand in a header: one line. */
const oneLine = (text: string) =>
  [...text]
    .map(letter => (letter < ' ' || letter === '\u007f' ? ' ' : letter))
    .join('')
    .trim();

function fill(engine: Liquid, name: string, text: string, values: Values): string {
  const templates = parse(engine, name, text);
  try {
    return engine.renderSync(templates, values) as string;
  } catch (error) {
    const line = error instanceof Error ? error.message.split('\n')[0]?.replace(/, file:.*$/, '') : '';
    throw invalid(`${name}: ${line || 'can not be rendered'}.`);
  }
}

const PREVIEW = '<div style="display:none;max-height:0;overflow:hidden">';

/** Fills in the variables, escaped for where they stand. @throws AppError invalid naming the part */
export function render(content: MailContent, given: Values): Rendered & { fromName: string } {
  const values = filledIn(content, given);
  const subject = oneLine(fill(plain, 'subject', content.subject, values));
  const preview = oneLine(fill(html, 'previewText', content.previewText, values));
  const body = fill(html, 'html', content.html, values);
  const text = content.text
    ? fill(plain, 'text', content.text, values)
    : convert(body, { wordwrap: 78, selectors: [{ selector: 'img', format: 'skip' }] });
  const whole = preview ? body.replace(/(<body[^>]*>)|^/i, start => `${start}${PREVIEW}${preview}</div>`) : body;
  return { subject, html: whole, text, fromName: oneLine(fill(plain, 'fromName', content.fromName, values)) };
}
