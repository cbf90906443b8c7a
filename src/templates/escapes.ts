import { type Context, Drop, toValue } from 'liquidjs';
import type { Place } from './htmlPlace.ts';

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' };
const CHARACTERS = Object.fromEntries(Object.entries(ENTITIES).map(([char, entity]) => [entity, char]));

/** HTML, as the filters `escape` and `newline_to_br` and the tag `capture` make it: it is not escaped a second time. */
export class Markup extends Drop {
  /** `raw`: what the filter `raw` shows of it. */
  constructor(
    readonly html: string,
    readonly raw = html,
  ) {
    super();
  }

  override valueOf(): string {
    return this.html;
  }

  get length(): number {
    return this.html.length;
  }
}

/** What the URL filters make: it is not percent-encoded a second time. */
export class Encoded extends Markup {}

export function formatValue(value: unknown): string {
  const plain = toValue(value);
  if (plain === undefined || plain === null) return '';
  return Array.isArray(plain) ? plain.map(formatValue).join('') : String(plain);
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, char => ENTITIES[char] ?? char);
}

export function unescapeHtml(html: string): string {
  return html.replace(/&(amp|lt|gt|#34|#39);/g, entity => CHARACTERS[entity] ?? entity);
}

function escapeMarkup(value: Markup, place: Place): string {
  if (value instanceof Encoded) return escapeHtml(value.html);
  return place.at === 'quoted' ? value.html.replace(/[<>"']/g, char => ENTITIES[char] ?? char) : value.html;
}

/** In an attribute without quotes only entities stay in their place. New messages can't have such a place; old ones go on being sent. */
function escapeUnquoted(text: string): string {
  return text.replace(/[^\w.~/?#:%@,;-]/gu, char => `&#${char.codePointAt(0)};`);
}

const ALLOWED = /^(https?|mailto|tel):/i;
const HARMLESS = '#';

/** A value that begins a link. */
function escapeLink(text: string): string {
  const link = text.trim();
  return !link || ALLOWED.test(link) ? link : HARMLESS;
}

/** A value behind another one that may have been empty: it must not bring a scheme of its own. */
function escapeContinuation(text: string): string {
  if (ALLOWED.test(text.trim())) return text.trim();
  const end = text.search(/[/?#]/);
  const first = end < 0 ? text : text.slice(0, end);
  return first.replaceAll(':', '%3A') + text.slice(first.length);
}

/** A value as it may be written into its place. `isRaw`: the author said `raw`; what begins a link is looked at all the same. */
export function escapeFor(place: Place, value: unknown, context: Context, isRaw = false): string {
  const marked = value instanceof Markup ? value : null;
  const text = marked && !(marked instanceof Encoded) ? unescapeHtml(marked.html) : formatValue(value);
  context.memoryLimit.use(text.length);
  const isValue = place.at === 'quoted' || place.at === 'unquoted';
  const write = (link: string) => (isRaw ? link : place.at === 'unquoted' ? escapeUnquoted(link) : escapeHtml(link));
  if (isValue && place.value === 'begin') return write(escapeLink(text));
  if (isValue && place.value === 'undecided') return write(escapeContinuation(text));
  if (isRaw) return marked ? marked.raw : formatValue(value);
  if (isValue && place.value === 'query')
    return write(marked instanceof Encoded ? text : encodeURIComponent(text.toWellFormed()));
  if (place.at === 'unquoted') return escapeUnquoted(text);
  return marked ? escapeMarkup(marked, place) : escapeHtml(text);
}
