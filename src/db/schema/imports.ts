import { integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core';
import type { properties } from './audience.ts';
import { json, time } from './columns.ts';

/** What a column of an imported file means. `property`: a custom one, with its type. */
export type ImportTarget =
  | { kind: 'field'; field: 'email' | 'firstName' | 'lastName' | 'userId' | 'source' | 'userGroup' }
  | { kind: 'subscribed' | 'mailingLists' | 'providerIds' }
  | { kind: 'provider'; provider: string }
  | { kind: 'property'; key: string; type: (typeof properties.$inferSelect)['type'] };

/** How a file is read: settled when it is uploaded. */
export interface ImportPlan {
  delimiter: string;
  /** Bytes before the first row: byte order mark and header. */
  start: number;
  header: string[];
  /** One for each column; null: passed over. */
  targets: (ImportTarget | null)[];
  /** Everybody is put on these. */
  mailingLists: string[];
  dryRun: boolean;
}

/** A CSV file on its way into the audience. */
export const imports = sqliteTable('imports', {
  id: text('id').primaryKey(),
  state: text('state').$type<'uploading' | 'queued' | 'running' | 'done' | 'failed'>().notNull(),
  plan: json<ImportPlan>('plan').notNull(),
  error: text('error'),
  bytes: time('bytes').notNull(),
  bytesDone: time('bytes_done').notNull(), // everything before is applied
  lines: integer('lines').notNull(), // rows read; the counts below add up to it
  created: integer('created').notNull(),
  updated: integer('updated').notNull(),
  unchanged: integer('unchanged').notNull(),
  failed: integer('failed').notNull(),
  createdAt: time('created_at').notNull(),
  finishedAt: time('finished_at'),
});

/** The file itself, until it is applied: bytes as Latin-1 text, NUL as U+0100. */
export const importChunks = sqliteTable(
  'import_chunks',
  { importId: text('import_id').notNull(), seq: integer('seq').notNull(), content: text('content').notNull() },
  t => [primaryKey({ columns: [t.importId, t.seq] })],
);

/** Rows that could not be applied. */
export const importFailures = sqliteTable(
  'import_failures',
  {
    importId: text('import_id').notNull(),
    line: integer('line').notNull(), // as a spreadsheet counts: the header is 1
    culprit: text('culprit'), // the column's name
    message: text('message').notNull(),
    cells: json<string[]>('cells').notNull(), // cut where they are long
  },
  t => [primaryKey({ columns: [t.importId, t.line] })],
);
