import { z } from 'zod';
import type { Aged, Search } from '../../db/search.ts';
import type { Tx } from '../../db/store.ts';
import { describePage, loadPage, pageQuery } from '../page.ts';
import { type Doc, type Params, type Route, route } from '../route.ts';
import { makePage } from './examples.ts';

interface ListSpec<P extends string, F extends z.ZodRawShape> extends Omit<Doc, 'answer'> {
  table: Aged;
  /** Query parameters beside those of every page. */
  filters?: F;
  /** Shape of one row, and one as it may look. */
  row: z.ZodType;
  example: unknown;
  /** Which rows. @throws AppError notFound where what the path names is not there */
  search(tx: Tx, filters: z.output<z.ZodObject<F>>, params: Params<P>): Search | Promise<Search>;
  /** The rows in the order of their ids. */
  view(tx: Tx, ids: string[], now: number): Promise<unknown[]>;
}

/** A route that gives a table in pages, newest first. */
export function listRoute<const P extends string, F extends z.ZodRawShape = Record<never, never>>(
  path: P,
  { table, filters, row, example, search, view, ...doc }: ListSpec<P, F>,
): Route {
  return route('GET', path, {
    ...doc,
    query: z.strictObject({ ...pageQuery, ...filters }),
    response: describePage(row),
    answer: makePage(example),
    handle: async ({ ctx, params, query: { perPage, cursor, ...asked }, request }) => {
      // What the schema made of the query, less the two of every page.
      const chosen = await ctx.store.read(async tx => search(tx, asked as z.output<z.ZodObject<F>>, params));
      const given = Object.fromEntries(new URL(request.url).searchParams);
      const kept = Object.fromEntries(Object.keys(filters ?? {}).map(name => [name, given[name]]));
      const here = Object.entries<string>(params).reduce<string>(
        (url, [name, value]) => url.replace(`:${name}`, value),
        path,
      );
      const asking = { perPage, cursor, url: ctx.config.publicUrl + here, filters: kept };
      return loadPage(ctx.store, table, chosen, asking, ids => ctx.store.read(tx => view(tx, ids, ctx.now())));
    },
  });
}
