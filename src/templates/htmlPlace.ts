/**
 * Where in an HTML document one stands, as far as it decides what a value may do there. Read character by character as the HTML
 * standard reads (tags, quoted and unquoted attributes, raw text, comments); the content of Outlook's conditional comments counts as HTML.
 */
export interface Place {
  readonly at:
    | 'text'
    | 'rawText'
    | 'open' // after <
    | 'openEnd' // after </
    | 'tagName'
    | 'tag' // between attributes
    | 'attributeName'
    | 'afterName'
    | 'beforeValue'
    | 'quoted'
    | 'unquoted'
    | 'declaration' // <!doctype …>, <![endif]-->
    | 'comment'
    | 'conditional'; // the condition of <!--[if …]>
  /** Name of the tag, in lower case; `/` before it: an end tag. */
  readonly tag: string;
  readonly attribute: string;
  readonly quote: string;
  /** Within the value of an attribute: what it is, and for a link how far. */
  readonly value: 'plain' | 'code' | 'begin' | 'undecided' | 'path' | 'query';
  /** The last characters, where a word of several is waited for. */
  readonly tail: string;
}

export const TEXT: Place = { at: 'text', tag: '', attribute: '', quote: '', value: 'plain', tail: '' };

const LINKS = new Set(
  'action archive background cite classid codebase data dynsrc formaction href icon imagesrcset longdesc lowsrc manifest ping poster profile src srcset usemap xlink:href'.split(
    ' ',
  ),
);
const LISTS = new Set(['archive', 'imagesrcset', 'ping', 'srcset']); // of links, parted by spaces or commas
const RAW = new Set('script style xmp iframe noembed noframes plaintext title textarea'.split(' '));
/** Elements whose content is text with entities: a value is harmless there. */
const RAW_WITH_ENTITIES = new Set(['title', 'textarea']);
const UNSAFE_SCHEMES = /^[^a-z]*(javascript|vbscript|data)$/i;
const TAIL = 16; // characters

/** What the value of an attribute is before its first character. */
function classifyAttribute(name: string): Place['value'] {
  if (/^on|^style$|^srcdoc$|^\?$/.test(name)) return 'code';
  return LINKS.has(name) ? 'begin' : 'plain';
}

function isSpace(char: string): boolean {
  return char === ' ' || char === '\n' || char === '\t' || char === '\r' || char === '\f';
}

function closeTag(place: Place): Place {
  return RAW.has(place.tag) ? { ...TEXT, at: 'rawText', tag: place.tag } : TEXT;
}

function startValue(place: Place, at: 'quoted' | 'unquoted', quote: string): Place {
  return { ...place, at, quote, value: classifyAttribute(place.attribute), tail: '' };
}

/** One more character of a link or of another value. */
function advanceValue(place: Place, char: string): Place {
  const tail = (place.tail + char).slice(-TAIL);
  if (place.attribute === 'content' && place.tag === 'meta' && place.value === 'plain')
    return /url\s*=\s*$/i.test(tail) ? { ...place, value: 'begin', tail: '' } : { ...place, tail };
  if (place.value === 'plain') return place;
  if (place.value === 'code') return { ...place, tail, value: tail.endsWith('data:image/') ? 'path' : 'code' };
  if (LISTS.has(place.attribute) && (isSpace(char) || char === ',')) return { ...place, value: 'begin', tail: '' };
  if (char === '?' || char === '#' || char === '&') return { ...place, value: 'query' };
  if (place.value === 'path' || place.value === 'query') return place;
  if (char === '/') return { ...place, value: 'path' };
  if (char === ':') return { ...place, value: UNSAFE_SCHEMES.test(place.tail) ? 'code' : 'path' };
  if (place.value === 'begin' && (isSpace(char) || char === "'" || char === '"')) return place;
  return { ...place, value: 'undecided', tail };
}

/** Between attributes and in their names. */
function advanceTag(place: Place, char: string): Place {
  const { at, attribute } = place;
  if (char === '>') return closeTag(place);
  if (isSpace(char)) return at === 'attributeName' ? { ...place, at: 'afterName' } : place;
  if (at === 'beforeValue')
    return char === '"' || char === "'"
      ? startValue(place, 'quoted', char)
      : advanceValue(startValue(place, 'unquoted', ''), char);
  if (char === '/') return { ...place, at: 'tag', attribute: '' };
  if (char === '=' && at !== 'tag') return { ...place, at: 'beforeValue' };
  const name = at === 'attributeName' ? attribute + char.toLowerCase() : char.toLowerCase();
  return { ...place, at: 'attributeName', attribute: name };
}

/** After < or </. */
function advanceOpen(place: Place, char: string): Place {
  const isEnd = place.at === 'openEnd';
  if (/[a-z]/i.test(char)) return { ...TEXT, at: 'tagName', tag: (isEnd ? '/' : '') + char.toLowerCase() };
  if (char === '/' && !isEnd) return { ...TEXT, at: 'openEnd' };
  if (isEnd) return char === '>' ? TEXT : { ...TEXT, at: 'declaration' };
  if (char === '!' || char === '?') return { ...TEXT, at: 'declaration', tail: char };
  return char === '<' ? place : TEXT;
}

function advanceComment(place: Place, char: string): Place {
  const tail = place.tail + char;
  if (place.at === 'conditional') return tail.endsWith(']>') ? TEXT : { ...place, tail: tail.slice(-1) };
  if (tail === '[if') return { ...place, at: 'conditional', tail: '' };
  if (tail === '>' || tail === '->' || tail.endsWith('-->') || tail.endsWith('--!>')) return TEXT;
  return { ...place, tail: tail.length > 4 ? ` ${tail.slice(-3)}` : tail };
}

function advanceRawText(place: Place, char: string): Place {
  const end = `</${place.tag}`;
  if (place.tail === end && (isSpace(char) || char === '/' || char === '>'))
    return advanceTag({ ...TEXT, at: 'tag', tag: `/${place.tag}` }, char);
  return { ...place, tail: (place.tail + char.toLowerCase()).slice(-end.length) };
}

function advanceBy(place: Place, char: string): Place {
  switch (place.at) {
    case 'text':
      return char === '<' ? { ...TEXT, at: 'open' } : place;
    case 'rawText':
      return advanceRawText(place, char);
    case 'open':
    case 'openEnd':
      return advanceOpen(place, char);
    case 'tagName':
      if (char === '>') return closeTag(place);
      if (isSpace(char) || char === '/') return { ...place, at: 'tag' };
      return { ...place, tag: place.tag + char.toLowerCase() };
    case 'quoted':
      return char === place.quote ? { ...TEXT, at: 'tag', tag: place.tag } : advanceValue(place, char);
    case 'unquoted':
      if (char === '>') return closeTag(place);
      return isSpace(char) ? { ...TEXT, at: 'tag', tag: place.tag } : advanceValue(place, char);
    case 'declaration':
      if (char === '>') return TEXT;
      return place.tail + char === '!--'
        ? { ...TEXT, at: 'comment' }
        : { ...place, tail: (place.tail + char).slice(0, 4) };
    case 'comment':
    case 'conditional':
      return advanceComment(place, char);
    default:
      return advanceTag(place, char);
  }
}

/** Where one stands after a piece of HTML. */
export function advance(place: Place, html: string): Place {
  let now = place;
  for (let i = 0; i < html.length; i++) {
    if (now === TEXT) {
      const next = html.indexOf('<', i); // most of a message is text
      if (next < 0) return TEXT;
      i = next;
    }
    now = advanceBy(now, html[i] ?? '');
  }
  return now;
}

/** What a value does to where one stands: nothing is known of it but that it stays in its place. */
export function followValue(place: Place): Place {
  if (place.value === 'begin' && (place.at === 'quoted' || place.at === 'unquoted'))
    return { ...place, value: 'undecided', tail: ' ' };
  if (place.at === 'beforeValue') return startValue(place, 'unquoted', '');
  return place === TEXT ? TEXT : { ...place, tail: ' ' };
}

function describeCode(attribute: string): string {
  if (attribute === '?') return 'stands in an attribute whose name depends on a condition';
  if (attribute !== 'style') return `stands in ${attribute}="…" as code`;
  return 'stands in a style attribute, where nothing can be escaped. Choose between fixed styles with {% if %}';
}

/** Why no value may stand here; null: it may. */
export function findFault(place: Place): string | null {
  switch (place.at) {
    case 'rawText':
      return RAW_WITH_ENTITIES.has(place.tag) ? null : `stands inside <${place.tag}>, where nothing can be escaped`;
    case 'open':
    case 'openEnd':
    case 'tagName':
      return 'stands in the name of a tag';
    case 'tag':
    case 'attributeName':
    case 'afterName':
      return 'stands where the name of an attribute goes';
    case 'beforeValue':
    case 'unquoted':
      return `stands in an attribute without quotes. Put them around the whole value: ${place.attribute}="…"`;
    case 'quoted':
      return place.value === 'code' ? describeCode(place.attribute) : null;
    default:
      return null;
  }
}

const IN_TAG = new Set<Place['at']>(['tagName', 'tag', 'attributeName', 'afterName', 'unquoted']);

function joinValues(a: Place['value'], b: Place['value']): Place['value'] {
  if (a === b) return a;
  if (a === 'code' || b === 'code') return 'code';
  return a === 'query' || b === 'query' ? 'query' : 'undecided';
}

/** Where one stands after two ways that part and meet again; null: they end in different kinds of places. */
export function joinPlaces(a: Place, b: Place): Place | null {
  if (a.tag !== b.tag) return null;
  if (a.at === b.at && a.quote === b.quote) {
    const attribute = a.attribute === b.attribute ? a.attribute : '?'; // in an unknown one no value may stand
    const value = a.attribute === b.attribute ? joinValues(a.value, b.value) : 'code';
    if (attribute === a.attribute && value === a.value) return a.tail === b.tail ? a : { ...a, tail: ' ' };
    return { ...a, attribute, value, tail: ' ' };
  }
  if (!IN_TAG.has(a.at) || !IN_TAG.has(b.at)) return null;
  if (a.at === 'unquoted' || b.at === 'unquoted')
    return { ...a, at: 'unquoted', attribute: '?', quote: '', value: 'code' };
  const isNamed = [a.at, b.at].some(at => at === 'attributeName' || at === 'afterName');
  return { ...TEXT, at: isNamed ? 'afterName' : 'tag', tag: a.tag, attribute: isNamed ? '?' : '' };
}
