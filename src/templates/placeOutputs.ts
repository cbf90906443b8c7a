import {
  CaptureTag,
  CaseTag,
  type Context,
  CycleTag,
  DecrementTag,
  type Emitter,
  ForTag,
  IfTag,
  IncrementTag,
  type Liquid,
  LiquidTag,
  Output,
  RawTag,
  TablerowTag,
  Tag,
  type TagToken,
  type Template,
  type TopLevelToken,
  TypeGuards,
  UnlessTag,
  Value,
} from 'liquidjs';
import { escapeFor, Markup } from './escapes.ts';
import { advance, findFault, followValue, joinPlaces, type Place, TEXT } from './htmlPlace.ts';

/** An output that stands where no value may. */
interface Fault {
  /** From 1. */
  line: number;
  column: number;
  /** The output or tag, and what is wrong: `{{ data.x }} stands in …`. */
  reason: string;
}

/** Where outputs stand that liquidjs escapes by the engine's own function. */
const places = new WeakMap<object, Place>();

/** The engine's escaping: of an output whose place was never found out as text. */
export function escapeOutput(this: { context: Context; token: object }, value: unknown): string {
  return escapeFor(places.get(this.token) ?? TEXT, value, this.context);
}

/** liquidjs' own takes the mark off what is escaped already. */
class EchoTag extends Tag {
  readonly value: Value | null;
  readonly isRaw: boolean;

  constructor(token: TagToken, rest: TopLevelToken[], liquid: Liquid) {
    super(token, rest, liquid);
    this.tokenizer.skipBlank();
    this.value = this.tokenizer.end() ? null : new Value(this.tokenizer.readFilteredValue(), liquid);
    this.isRaw = this.value?.filters.at(-1)?.raw ?? false;
  }

  *render(context: Context, emitter: Emitter): Generator<unknown, void, unknown> {
    if (!this.value) return;
    const value = yield this.value.value(context, false);
    emitter.write(escapeFor(places.get(this.token) ?? TEXT, value, context, this.isRaw));
  }

  *arguments() {
    if (this.value) yield this.value;
  }
}

/** What is captured was escaped while it was written. */
class MarkupCapture extends CaptureTag {
  override *render(context: Context): Generator<unknown, void, string> {
    yield* super.render(context);
    const scope = context.bottom() as Record<string, unknown>;
    scope[this.variable] = new Markup(String(scope[this.variable]));
  }
}

export function registerHtmlTags(engine: Liquid): void {
  engine.registerTag('echo', EchoTag);
  engine.registerTag('capture', MarkupCapture);
}

/** Has an output escaped for its place. */
function setPlace(template: Template, place: Place): void {
  const known = place.at === 'beforeValue' ? followValue(place) : place;
  places.set(template.token, known);
  if (!(template instanceof Output)) return;
  const last = template.value.filters.at(-1); // the escaping, or `raw`
  if (last)
    last.render = (value: unknown, context: Context) => yieldNothing(escapeFor(known, value, context, last.raw));
}

/** liquidjs runs filters as generators. */
function* yieldNothing(text: string): Generator<unknown, string> {
  yield;
  return text;
}

class Walk {
  readonly faults = new Map<object, Fault>(); // by token: the body of a loop is walked twice

  private report({ token }: Template, reason: string): void {
    if (this.faults.has(token)) return;
    const [line = 1, column = 1] = token.getPosition();
    const text = token.getText().replace(/\s+/g, ' ');
    this.faults.set(token, { line, column, reason: `${text.length > 60 ? `${text.slice(0, 57)}…` : text} ${reason}` });
  }

  /** @returns where the HTML stands after these templates */
  walkAll(templates: readonly Template[], start: Place): Place {
    let place = start;
    for (const template of templates) place = this.walkOne(template, place);
    return place;
  }

  private walkOne(template: Template, place: Place): Place {
    if (TypeGuards.isHTMLToken(template.token)) return advance(place, template.token.getContent());
    if (template instanceof Output || template instanceof EchoTag || template instanceof CycleTag) {
      const fault = findFault(place);
      if (fault !== null) this.report(template, fault);
      setPlace(template, place);
      return followValue(place);
    }
    if (template instanceof IfTag || template instanceof UnlessTag || template instanceof CaseTag) {
      const ways = [...template.branches.map(branch => branch.templates), template.elseTemplates ?? []];
      return this.joinWays(
        template,
        place,
        ways.map(way => this.walkAll(way, place)),
      );
    }
    if (template instanceof ForTag || template instanceof TablerowTag) return this.walkLoop(template, place);
    if (template instanceof CaptureTag) this.walkAll(template.templates, TEXT);
    if (template instanceof LiquidTag) return this.walkAll(template.templates, place);
    if (template instanceof RawTag) return advance(place, template.render());
    if (template instanceof IncrementTag || template instanceof DecrementTag) return advance(place, '0');
    return place;
  }

  private walkLoop(template: ForTag | TablerowTag, place: Place): Place {
    const once = this.joinWays(template, place, [place, this.walkAll(template.templates, place)]);
    // A second round begins where the first ended.
    const start =
      once === place ? place : this.joinWays(template, place, [once, this.walkAll(template.templates, once)]);
    if (template instanceof TablerowTag) return start;
    return this.joinWays(template, place, [start, this.walkAll(template.elseTemplates, place)]);
  }

  private joinWays(template: Template, before: Place, ends: Place[]): Place {
    let joined: Place | null = ends[0] ?? before;
    for (const end of ends.slice(1)) joined &&= joinPlaces(joined, end);
    if (joined) return joined;
    this.report(template, 'has ways that end in different places of the HTML. Let each close what it opens');
    return ends.at(-1) ?? before;
  }
}

/** Has each output of an HTML template escaped for the place where it stands. @returns those that stand where no value may */
export function placeOutputs(templates: readonly Template[]): Fault[] {
  const walk = new Walk();
  walk.walkAll(templates, TEXT);
  return [...walk.faults.values()];
}
