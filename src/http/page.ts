import { z } from 'zod';
import { type Aged, countMatches, type Search, scanNewest } from '../db/search.ts';
import type { Store } from '../db/store.ts';
import { invalid } from '../errors.ts';

/** The query parameters of every page. An empty cursor counts as none. */
export const pageQuery = {
  perPage: z.coerce.number().int().min(1).max(100).default(20).describe('Rows per page, 1 to 100'),
  cursor: z.string().max(200).optional().describe('nextCursor of the page before; empty: the first page'),
};

/** Shape of a page of `item`s. */
export const describePage = <T extends z.ZodType>(item: T) =>
  z.object({
    pagination: z.object({
      totalResults: z.number(),
      totalIsCapped: z.boolean().optional().describe('True when there are more than totalResults'),
      returnedResults: z.number(),
      perPage: z.number(),
      totalPages: z.number(),
      nextCursor: z.string().nullable(),
      nextPage: z.string().nullable(),
    }),
    data: z.array(item),
  });

const encode = (id: string) => Buffer.from(`1:${id}`).toString('base64url');

/** The id in a cursor. @throws AppError invalid */
export function decodeCursor(cursor: string | undefined): string | null {
  if (!cursor) return null;
  const text = /^[A-Za-z0-9_-]+$/.test(cursor) ? Buffer.from(cursor, 'base64url').toString('latin1') : '';
  if (!/^1:[A-Za-z0-9_]{1,64}$/.test(text))
    throw invalid('cursor: is not one of ours. Use nextCursor of the page before.');
  return text.slice(2);
}

interface PageRequest {
  perPage: number;
  cursor?: string | undefined;
  /** Where the next page is: public URL and path, and the other query parameters. */
  url: string;
  filters: Record<string, unknown>;
}

/** The envelope around rows that were already chosen. */
export function wrapPage<T>(
  request: PageRequest,
  data: T[],
  total: { total: number; capped: boolean },
  nextId: string | null,
) {
  const nextCursor = nextId === null ? null : encode(nextId);
  const next = new URLSearchParams();
  for (const [key, value] of Object.entries(request.filters))
    if (value !== undefined && value !== '') next.set(key, String(value));
  if (nextCursor) next.set('cursor', nextCursor);
  next.set('perPage', String(request.perPage));
  return {
    pagination: {
      totalResults: total.total,
      ...(total.capped && { totalIsCapped: true }),
      returnedResults: data.length,
      perPage: request.perPage,
      totalPages: Math.ceil(total.total / request.perPage),
      nextCursor,
      nextPage: nextCursor ? `${request.url}?${next}` : null,
    },
    data,
  };
}

/** One page of a table, newest first. `load` turns the chosen ids into what is shown, in their order. */
export async function loadPage<T>(
  store: Store,
  table: Aged,
  search: Search,
  request: PageRequest,
  load: (ids: string[]) => Promise<T[]>,
) {
  const { ids, rest } = await scanNewest(store, table, search, decodeCursor(request.cursor), request.perPage + 1);
  const shown = ids.slice(0, request.perPage);
  const next = ids.length > request.perPage ? (shown.at(-1) ?? null) : rest; // a long search ends early, with a way on
  const whole = !request.cursor && next === null; // this page is all there is
  const total = whole ? { total: shown.length, capped: false } : await countMatches(store, table, search);
  return wrapPage(request, await load(shown), total, next);
}
