import { test } from 'bun:test';
import { onPostgres } from './app.ts';

const leaveOut: (...given: Parameters<typeof test>) => void = () => {};

/** `test` for what holds where one process has the database to itself. PostgreSQL has other tests for that, or nothing of the kind. */
export const onSqlite = onPostgres ? leaveOut : test;
