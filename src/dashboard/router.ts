import { signal } from '@preact/signals';

/** Where the page is: `#/deliveries/dlv_1?status=dead` is the path `['deliveries', 'dlv_1']`. */
interface Place {
  path: string[];
  query: URLSearchParams;
}

function readPlace(): Place {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?', 2);
  return { path: path.split('/').filter(Boolean).map(decodePart), query: new URLSearchParams(query) };
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // typed by hand: no such place then
  }
}

export const place = signal(readPlace());
addEventListener('hashchange', () => {
  place.value = readPlace();
});

/** The address of a place; parameters without a value are left out. */
export function linkTo(path: string[], query: Record<string, string | null | undefined> = {}): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  const search = new URLSearchParams(given).toString();
  return `#/${path.map(encodeURIComponent).join('/')}${search && `?${search}`}`;
}

export function visit(link: string): void {
  location.hash = link;
}

/** As `visit`, but the way back does not lead here: for links that hold what works once. */
export function replacePlace(link: string): void {
  history.replaceState(null, '', link);
  place.value = readPlace();
}
