import { convert } from 'html-to-text';
import { Liquid, type Template } from 'liquidjs';
import type { MailContent } from '../db/schema.ts';
import { invalid } from '../errors.ts';

export const MAX_HTML = 100_000; // characters, as Loops has it
const MAX_RENDERED = 300_000;
const MAX_TAGS = 500; // different ones
const LIMITS = { parseLimit: 200_000, renderLimit: 150, memoryLimit: 2_000_000 }; // characters, ms, objects and characters
// Own properties only, no files, no code: a template reads what it is given and nothing else.
const COMMON = { ...LIMITS, ownPropertyOnly: true, templates: {}, relativeReference: false, strictFilters: true };
const plain = new Liquid(COMMON);
const html = new Liquid({ ...COMMON, outputEscape: 'escape' });
// A message is one template: there are no others to take in.
for (const engine of [plain, html]) for (const tag of ['include', 'render', 'layout', 'block']) delete engine.tags[tag];

/** What a mail's variables are filled from. */
export interface Values {
  contact: Record<string, unknown>;
  event: Record<string, unknown>;
  data: Record<string, unknown>;
  unsubscribeUrl: string;
}

export interface Rendered {
  subject: string;
  fromName: string;
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

const engineOf = (part: (typeof PARTS)[number]) => (part === 'html' || part === 'previewText' ? html : plain);

function problem(part: string, error: unknown, otherwise: string): Error {
  const line =
    error instanceof Error
      ? error.message
          .split('\n')[0]
          ?.replace(/, file:.*$/, '')
          .slice(0, 200)
      : '';
  return invalid(`${part}: ${line || otherwise}.`);
}

const KEPT = 200;
const parsed = new Map<string, Template[]>(); // the templates used last: parsing takes longer than filling in

function parse(part: (typeof PARTS)[number], text: string): Template[] {
  const key = `${engineOf(part) === html ? 'h' : 'p'}${text}`;
  const known = parsed.get(key);
  if (known) return known;
  try {
    const templates = engineOf(part).parse(text);
    if (parsed.size >= KEPT) parsed.clear();
    parsed.set(key, templates);
    return templates;
  } catch (error) {
    throw problem(part, error, 'can not be read as a template');
  }
}

/** The template's tags without the text between them, each output once: analysing takes the square of their number. */
function tagsOf(part: string, text: string): string {
  const tags = text.match(/\{\{.*?\}\}|\{%.*?%\}/gs) ?? [];
  const outputs = new Set<string>();
  const kept = tags.filter(tag => tag.startsWith('{%') || (!outputs.has(tag) && outputs.add(tag)));
  if (kept.length > MAX_TAGS) throw invalid(`${part}: has over ${MAX_TAGS} different variables and tags.`);
  return kept.join('');
}

/** The variables of a message as paths, `data.confirmationUrl`. @throws AppError invalid naming the part that can't be parsed */
export function variablesOf(content: MailContent): string[] {
  const found = new Set<string>();
  for (const part of PARTS) {
    parse(part, content[part]);
    for (const [group, name] of plain.globalVariableSegmentsSync(parse(part, tagsOf(part, content[part])), {
      partials: false,
    })) {
      if (typeof group !== 'string' || !GROUPS.includes(group))
        throw invalid(
          `${part}: {{ ${String(group).slice(0, 60)} }} is no variable. They begin with contact., event. or data., or are unsubscribeUrl.`,
        );
      found.add(typeof name === 'string' ? `${group}.${name}` : group);
    }
  }
  return [...found].sort();
}

const BARE = /<[^<>]*=\s*\{\{/; // a value there could end the attribute and begin another

/** Refuses what could not be sent. @throws AppError invalid naming the part */
export function checkContent(content: MailContent): void {
  variablesOf(content);
  if (BARE.test(content.html))
    throw invalid('html: put quotes around the {{ … }} that are attributes: href="{{ … }}".');
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

/** What may stand in a header: one line, without control characters. */
const oneLine = (text: string) => text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();

function fill(part: (typeof PARTS)[number], content: MailContent, values: Values): string {
  let text: string;
  try {
    text = engineOf(part).renderSync(parse(part, content[part]), values) as string;
  } catch (error) {
    throw problem(part, error, 'can not be rendered');
  }
  if (text.length > MAX_RENDERED) throw invalid(`${part}: is over ${MAX_RENDERED} characters once filled in.`);
  return text;
}

const LINK = /\b(href|src|action|formaction|background)\s*=\s*("[^"]*"|'[^']*')/gi;

/** Links that run something are cut off: a value may be the whole of an address. */
const harmless = (text: string) =>
  text.replace(LINK, (whole, name: string, quoted: string) => {
    const target = quoted.slice(1, -1).replace(/[\p{Cc}\s]/gu, '');
    return /^(javascript|vbscript|data:text)/i.test(target) ? `${name}="#"` : whole;
  });

const PREVIEW = '<div style="display:none;max-height:0;overflow:hidden">';

function withPreview(body: string, preview: string): string {
  if (!preview) return body;
  const hidden = `${PREVIEW}${preview}</div>`;
  return /<body[^>]*>/i.test(body) ? body.replace(/<body[^>]*>/i, start => start + hidden) : hidden + body;
}

/** The words of an HTML body. Lines are not broken: they travel encoded. */
export const textOf = (body: string) =>
  convert(body, { wordwrap: false, limits: { maxDepth: 100 }, selectors: [{ selector: 'img', format: 'skip' }] });

/** Fills in the variables, escaped for where they stand. @throws AppError invalid naming the part */
export function render(content: MailContent, given: Values): Rendered {
  const values = filledIn(content, given);
  const body = harmless(fill('html', content, values));
  return {
    subject: oneLine(fill('subject', content, values)),
    fromName: oneLine(fill('fromName', content, values)),
    html: body && withPreview(body, oneLine(fill('previewText', content, values))),
    text: content.text ? fill('text', content, values) : textOf(body),
  };
}
