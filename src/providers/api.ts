import { z } from 'zod';
import { AppError } from '../errors.ts';
import type { Fetch } from './provider.ts';
import { parseJson } from './signatures.ts';

/** Objects asked for at once; every provider gives at least as many. */
export const PER_PAGE = 100;
const MAX_VALUES = 2_000_000; // of one page

/** A provider's API did not give what was asked for. `status` is what it answered, 0: nothing, or nothing we can read. */
export class ApiTrouble extends Error {
  constructor(
    readonly status: number,
    /** The Retry-After header as it came. */
    readonly retryAfter: string | null = null,
    override readonly cause?: unknown,
  ) {
    super(status ? `the API answered ${status}` : 'the API gave no answer that can be read');
    this.name = 'ApiTrouble';
  }
}

/** Setting: where an API is. Without a path; a slash at the end is dropped. */
export const apiUrl = z
  .string()
  .max(200)
  .regex(/^https?:\/\/[A-Za-z0-9.-]+(:\d{1,5})?\/?$/, 'must look like https://api.example.com, without a path')
  .transform(url => url.replace(/\/$/, ''))
  .optional();

export const apiKey = (what: string) => z.string().optional().describe(`${what}; write-only`);

/** A fetch whose good answers are JSON of bounded depth and size before anybody parses them. @throws ApiTrouble, AppError */
export const limitAnswers = (fetch: Fetch): Fetch => {
  return async (url, init) => {
    const response = await fetch(url, init).catch(error => {
      throw error instanceof AppError ? error : new ApiTrouble(0, null, error);
    });
    const bytes = await response.bytes();
    if (response.ok && parseJson(bytes, MAX_VALUES).problem !== undefined) throw new ApiTrouble(0);
    return new Response(bytes.length ? bytes : null, { status: response.status, headers: response.headers });
  };
};

/** What a GET answers: JSON and headers. @throws ApiTrouble, AppError */
export async function getJson(fetch: Fetch, url: string, headers: Record<string, string>) {
  const response = await limitAnswers(fetch)(url, { headers: { accept: 'application/json', ...headers } });
  if (!response.ok) throw new ApiTrouble(response.status, response.headers.get('retry-after'));
  return { json: (await response.json()) as unknown, headers: response.headers };
}

/** @throws ApiTrouble when it is none */
export function listOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value;
  throw new ApiTrouble(0);
}

/** `7:1200`: a page's number and how many there were in all before it, of a list that is numbered by pages, oldest first. */
export function parseCursor(cursor: string | null): { page: number; before: number | null } {
  const [page = '1', before = ''] = (cursor ?? '1').split(':');
  return { page: Number(page), before: before === '' ? null : Number(before) };
}

/**
 * The page to ask for next, null at the end. Where the list has become shorter since, what was deleted has moved others into pages
 * already read: then those are read again.
 */
export function makeNextCursor(
  page: number,
  before: number | null,
  total: number | null,
  more: boolean,
): string | null {
  const gone = before === null || total === null ? 0 : before - total;
  const next = gone > 0 ? Math.max(1, page - Math.ceil(gone / PER_PAGE)) : page + 1;
  return gone > 0 || more ? `${next}:${total ?? ''}` : null;
}
