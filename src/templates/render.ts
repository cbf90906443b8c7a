import { compile } from 'html-to-text';
import { filters, Liquid, type LiquidOptions, type Template } from 'liquidjs';
import { Encoded, escapeHtml, formatValue, Markup, unescapeHtml } from './escapes.ts';
import { findVariables } from './findVariables.ts';
import { escapeOutput, placeOutputs, registerHtmlTags } from './placeOutputs.ts';

/*
 * Templates are read, filled in and turned into text here, and only in a worker thread that is ended when it takes too long
 * (templates.ts): no limit inside sees everything that a template can do.
 */

export interface Parts {
  subject: string;
  previewText: string;
  fromName: string;
  html: string;
  text: string;
}
type Part = keyof Parts;

/** What a mail's variables are filled from. */
export interface Values {
  contact: Record<string, unknown>;
  event: Record<string, unknown>;
  data: Record<string, unknown>;
  unsubscribeUrl: string;
  preferencesUrl: string;
}

export interface Rendered {
  subject: string;
  fromName: string;
  html: string;
  text: string;
}

/** A template that is wrong; the message names the part. */
export class TemplateError extends Error {}

const MAX_RENDERED = 300_000; // characters
const LIMITS = { parseLimit: 200_000, memoryLimit: 2_000_000 }; // characters, objects and characters
// Own properties only, no files, no code: a template reads what it is given and nothing else.
const COMMON: LiquidOptions = {
  ...LIMITS,
  ownPropertyOnly: true,
  templates: {},
  relativeReference: false,
  strictFilters: true,
};
const plain = makeEngine(COMMON);
const html = makeHtmlEngine();
const PARTS = ['subject', 'previewText', 'fromName', 'html', 'text'] as const satisfies Part[];
const GROUPS = ['contact', 'event', 'data', 'unsubscribeUrl', 'preferencesUrl'];

function makeEngine(options: LiquidOptions): Liquid {
  const engine = new Liquid(options);
  // A message is one template: there are no others to take in.
  for (const tag of ['include', 'render', 'layout', 'block']) delete engine.tags[tag];
  const { renderer } = engine;
  const renderTemplates = renderer.renderTemplates.bind(renderer);
  // What `capture` and loops write counts as memory, like what filters make.
  renderer.renderTemplates = (templates, context, given) => {
    const emitter = given ?? {
      buffer: '',
      write(value: unknown) {
        const text = formatValue(value);
        context.memoryLimit.use(text.length);
        emitter.buffer += text;
      },
    };
    return renderTemplates(templates, context, emitter);
  };
  return engine;
}

/** Escapes outputs for where they stand, once. */
function makeHtmlEngine(): Liquid {
  const engine = makeEngine({ ...COMMON, outputEscape: escapeOutput });
  registerHtmlTags(engine);
  const read = (value: unknown) => (value instanceof Markup ? unescapeHtml(value.html) : formatValue(value));
  const breakLines = (text: string) => text.replace(/\r?\n/g, '<br />\n');
  engine.registerFilter('escape', value => new Markup(escapeHtml(read(value))));
  engine.registerFilter('xml_escape', value => new Markup(escapeHtml(read(value))));
  engine.registerFilter('escape_once', value => new Markup(escapeHtml(unescapeHtml(read(value)))));
  engine.registerFilter('newline_to_br', value =>
    value instanceof Markup
      ? new Markup(breakLines(value.html))
      : new Markup(breakLines(escapeHtml(formatValue(value))), breakLines(formatValue(value))),
  );
  for (const name of ['url_encode', 'cgi_escape', 'uri_escape']) {
    const encode = filters[name];
    if (typeof encode !== 'function') continue;
    engine.registerFilter(name, function (value) {
      return new Encoded(String(encode.call(this, read(value))));
    });
  }
  return engine;
}

const chooseEngine = (part: Part) => (part === 'html' || part === 'previewText' ? html : plain);

function describeProblem(part: string, error: unknown, otherwise: string): TemplateError {
  const [line = ''] = error instanceof Error ? error.message.split('\n') : [];
  return new TemplateError(`${part}: ${line.replace(/, file:.*$/, '').slice(0, 200) || otherwise}.`);
}

const KEPT = 100;
const parsed = new Map<string, { templates: Template[]; faults: ReturnType<typeof placeOutputs> }>(); // used last: parsing takes longer than filling in

function parse(part: Part, text: string) {
  const engine = chooseEngine(part);
  const key = `${engine === html ? 'h' : 'p'}${text}`;
  const known = parsed.get(key);
  if (known) return known;
  try {
    const templates = engine.parse(text);
    const made = { templates, faults: engine === html ? placeOutputs(templates) : [] };
    if (parsed.size >= KEPT) parsed.clear();
    parsed.set(key, made);
    return made;
  } catch (error) {
    throw describeProblem(part, error, 'can not be read as a template');
  }
}

/**
 * The variables of a message as paths, `data.confirmationUrl`. With `isStrict` a value in a place where it can't be escaped is refused,
 * by line and column; messages of before are judged less strictly.
 * @throws TemplateError
 */
export function analyzeParts(parts: Parts, isStrict: boolean): string[] {
  const found = new Set<string>();
  for (const part of PARTS) {
    const { templates, faults } = parse(part, parts[part]);
    const [fault] = faults;
    if (fault && isStrict)
      throw new TemplateError(`${part}: line ${fault.line}, column ${fault.column}: ${fault.reason}.`);
    for (const [group = '', name] of findVariables(templates)) {
      if (!GROUPS.includes(group))
        throw new TemplateError(
          `${part}: {{ ${group.slice(0, 60)} }} is no variable. They begin with contact., event. or data., or are unsubscribeUrl or preferencesUrl.`,
        );
      found.add(name === undefined ? group : `${group}.${name}`);
    }
  }
  return [...found].sort();
}

/** What may stand in a header: one line, without control characters. */
const joinLines = (text: string) => text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();

function fill(part: Part, parts: Parts, values: Values): string {
  const { templates } = parse(part, parts[part]);
  let text: string;
  try {
    text = chooseEngine(part).renderSync(templates, values) as string;
  } catch (error) {
    throw describeProblem(part, error, 'can not be rendered');
  }
  if (text.length > MAX_RENDERED)
    throw new TemplateError(`${part}: is over ${MAX_RENDERED} characters once filled in.`);
  return text;
}

const PREVIEW = '<div style="display:none;max-height:0;overflow:hidden">';
const BODY = /<body[^<>]*>/i; // no start may look past the next one: looking would take the square of their number

function addPreview(body: string, preview: string): string {
  if (!preview) return body;
  const hidden = `${PREVIEW}${preview}</div>`;
  return BODY.test(body) ? body.replace(BODY, start => start + hidden) : hidden + body;
}

/** The words of an HTML body. Lines are not broken: they travel encoded. */
const textOf = compile({
  wordwrap: false,
  limits: { maxDepth: 100 },
  selectors: [{ selector: 'img', format: 'skip' }],
});

/** Fills in the variables, escaped for where they stand. @throws TemplateError */
export function renderParts(parts: Parts, values: Values): Rendered {
  const body = fill('html', parts, values);
  return {
    subject: joinLines(fill('subject', parts, values)),
    fromName: joinLines(fill('fromName', parts, values)),
    html: body && addPreview(body, joinLines(fill('previewText', parts, values))),
    text: parts.text ? fill('text', parts, values) : textOf(body),
  };
}
