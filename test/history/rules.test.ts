import { expect, test } from 'bun:test';
import { TABLES } from '../../src/db/transfer/transfer.ts';
import { ERASURE, NOTHING_PERSONAL, RETENTION } from '../../src/history/rules.ts';

const tables = TABLES.map(table => table.name).sort();

test('every table says how long its rows stay', () => {
  expect(Object.keys(RETENTION).sort()).toEqual(tables);
});

test('every table says what an erasure does to it, or why nothing', () => {
  expect([...Object.keys(ERASURE), ...Object.keys(NOTHING_PERSONAL)].sort()).toEqual(tables);
});
