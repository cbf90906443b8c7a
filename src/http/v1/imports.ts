import { z } from 'zod';
import { exportCsv } from '../../audience/export.ts';
import {
  CHUNK_BYTES,
  getImport,
  importSearch,
  removeImport,
  reportOf,
  storeImport,
  viewImports,
} from '../../audience/import/imports.ts';
import { buildContactSearch } from '../../audience/search.ts';
import type { Context } from '../../context.ts';
import { imports } from '../../db/schema.ts';
import { invalid } from '../../errors.ts';
import { readBlocks } from '../body.ts';
import { KEY_ID } from '../callers.ts';
import { type Route, route } from '../route.ts';
import { filters } from './contacts.ts';
import * as example from './examples.ts';
import * as importExample from './importExamples.ts';
import { listRoute } from './listRoute.ts';
import { importView } from './shapes.ts';

const tag = 'Import and export';
const PATH = '/api/v1/contacts';
const MAX_FILE = 268_435_456; // bytes
const describeFlag = (otherwise: boolean) =>
  z
    .enum(['true', 'false'])
    .transform(text => text === 'true')
    .default(otherwise);

const mapping = z.record(z.string().max(500), z.string().max(200).nullable());

/** The `columns` parameter. @throws AppError invalid */
function parseColumns(text: string | undefined): Record<string, string | null> {
  if (text === undefined) return {};
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw invalid('columns: must be JSON such as {"E-mail":"email","Notes":null}.');
  }
  if (typeof json === 'object' && json !== null && Object.hasOwn(json, '__proto__'))
    throw invalid('columns: __proto__ is no column of ours.');
  const parsed = mapping.safeParse(json);
  if (!parsed.success) throw invalid('columns: must be an object of texts and nulls, by header.');
  return parsed.data;
}

const makeCsvHeaders = (name: string) => ({
  'content-type': 'text/csv; charset=utf-8',
  'content-disposition': `attachment; filename="${name}"`,
});

const AHEAD = 2; // pieces made before the answer begins: what can't be read at all gets an answer that says so

/** CSV as it is made; whoever reads it sets the pace. What fails after the beginning cuts the connection. */
async function download(ctx: Context, pieces: AsyncGenerator<string>, name: string): Promise<Response> {
  const encoder = new TextEncoder();
  const ready: IteratorResult<string>[] = [];
  for (let i = 0; i < AHEAD && !ready.at(-1)?.done; i++) ready.push(await pieces.next());
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const next = ready.shift() ?? (await pieces.next());
        if (next.done) controller.close();
        else controller.enqueue(encoder.encode(next.value));
      } catch (error) {
        ctx.log.error({ err: error, file: name }, 'a download was cut off');
        controller.error(new Error('the rest could not be read'));
      }
    },
    cancel: async () => void (await pieces.return(undefined)),
  });
  return new Response(body, { headers: makeCsvHeaders(name) });
}

export const importRoutes: Route[] = [
  route('GET', `${PATH}/export`, {
    summary: 'Contacts as CSV',
    description:
      'With the filters of the search, newest first, in UTF-8, as it is read from the database. A text that a spreadsheet would run as a formula has an apostrophe before it; the import takes it off again.',
    tag,
    query: z.strictObject(filters),
    download: true,
    response: z.string(),
    answer: importExample.csv,
    handle: async ({ ctx, query, request }) => {
      const search = await ctx.store.read(tx => buildContactSearch(tx, query));
      if (request.method === 'HEAD') return new Response(null, { headers: makeCsvHeaders('contacts.csv') });
      return download(ctx, exportCsv(ctx.store, search), 'contacts.csv');
    },
  }),
  route('POST', `${PATH}/import`, {
    summary: 'Create or update contacts from a CSV file',
    description: `The body is the file itself, up to ${MAX_FILE / 1_048_576} MiB: UTF-8, a header row, separated by comma, semicolon or tab. It is stored, then applied in the background by the rules of PUT /contacts/update; workflows and webhooks hear nothing of it. An empty cell, null and \\N say nothing. Headers as in an export of Inlet or Loops are understood. Who opted out comes in as such, by the names and words of the usual products (unsubscribed, status, consent, UNSUB_TIME …); where a column leaves it open, the file is refused with the question. No import subscribes anybody who opted out.`,
    tag,
    audit: { action: 'import.start', subject: 'import', detail: ({ dryRun }) => ({ dryRun }) },
    upload: true,
    query: z.strictObject({
      columns: z
        .string()
        .max(20_000)
        .optional()
        .describe(
          'JSON: header → email, firstName, lastName, userId, source, userGroup, subscribed, unsubscribed (true: opted out), optOutTime (any value: opted out), mailingLists, providerIds, a provider (stripe, clerk, supabase, polar) for its person ids, or a property such as planName or seats:number. null passes a column over',
        ),
      mailingLists: z.string().max(2000).optional().describe('Ids of lists for everybody, separated by commas'),
      createProperties: describeFlag(true).describe('false passes columns over that are no property yet'),
      subscribed: z
        .enum(['true', 'false'])
        .optional()
        .describe(
          'What is true of everybody in the file. false: all have opted out. true: none has, unless a column says so; columns that leave it open are properties',
        ),
      dryRun: describeFlag(false).describe('Counts and reports, changes nothing'),
    }),
    example: 'email,firstName,planName,stripe\r\nkatherine@example.com,Katherine,pro,cus_Katherine\r\n',
    response: importView,
    status: 201,
    answer: importExample.importing,
    handle: async ({ ctx, query, request }) => {
      const options = {
        columns: parseColumns(query.columns),
        mailingLists: (query.mailingLists ?? '').split(',').flatMap(id => id.trim() || []),
        createProperties: query.createProperties,
        subscribed: query.subscribed === undefined ? null : query.subscribed === 'true',
        dryRun: query.dryRun,
      };
      const sender = { to: request.headers.get(KEY_ID) ?? '', peer: null };
      const blocks = readBlocks(request, CHUNK_BYTES, MAX_FILE, sender);
      const { id } = await storeImport(ctx.store, blocks, options, ctx.now());
      ctx.wake();
      return ctx.store.read(tx => getImport(tx, id));
    },
  }),
  listRoute('/api/v1/imports', {
    summary: 'Imports, newest first',
    tag,
    table: imports,
    row: importView,
    example: importExample.importing,
    search: importSearch,
    view: viewImports,
  }),
  route('GET', '/api/v1/imports/:id', {
    summary: 'How far an import is',
    tag,
    errors: [404],
    response: importView,
    answer: importExample.importing,
    handle: ({ ctx, params }) => ctx.store.read(tx => getImport(tx, params.id)),
  }),
  route('GET', '/api/v1/imports/:id/report', {
    summary: 'Rows that could not be applied, as CSV',
    scope: 'all', // shows the rows as they were uploaded
    description: 'Row, column and reason, then the row itself; at most 10,000 rows. Mended, it can be imported again.',
    tag,
    errors: [404],
    download: true,
    response: z.string(),
    answer: importExample.report,
    handle: async ({ ctx, params }) => {
      const { id } = await ctx.store.read(tx => getImport(tx, params.id));
      return download(ctx, reportOf(ctx.store, id), 'import-report.csv');
    },
  }),
  route('DELETE', '/api/v1/imports/:id', {
    summary: 'End an import, and remove its file and report',
    description: 'What it did to contacts stays.',
    tag,
    audit: { action: 'import.delete', subject: 'import' },
    errors: [404],
    response: z.object({ success: z.literal(true) }),
    answer: example.done,
    handle: async ({ ctx, params }) => {
      const { id } = await ctx.store.read(tx => getImport(tx, params.id));
      await removeImport(ctx.store, id);
      return { success: true };
    },
  }),
];
