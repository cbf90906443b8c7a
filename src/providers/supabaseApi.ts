import { getJson, listOf, makeNextCursor, PER_PAGE, parseCursor } from './api.ts';
import { parseMs, pickId, readOwn } from './pick.ts';
import type { Backfill } from './provider.ts';

interface Access {
  projectUrl?: string | undefined;
}

/**
 * GET /auth/v1/admin/users by page, `{users, aud}` and X-Total-Count (supabase.com/docs/reference/javascript/auth-admin-listusers; that it
 * can be sorted is read in supabase/auth, internal/api/sorting.go). Its users are the rows under other names.
 */
export const backfill: Backfill<Access> = {
  type: 'INSERT',
  key: 'the secret (sb_secret_…) or service_role key of the project',
  needs: ['projectUrl'],
  async page({ key, settings: set, cursor, fetch }) {
    const { page, before } = parseCursor(cursor);
    const query = `page=${page}&per_page=${PER_PAGE}&sort=created_at%20asc`;
    const headers = { apikey: key, authorization: `Bearer ${key}` };
    const answer = await getJson(fetch, `${set.projectUrl}/auth/v1/admin/users?${query}`, headers);
    const users = listOf(readOwn(answer.json, 'users'));
    const counted = answer.headers.get('x-total-count') ?? '';
    const total = /^\d{1,12}$/.test(counted) ? Number(counted) : null;
    const more = users.length > 0 && (total === null || page * users.length < total);
    return { items: users.map(readListed), next: makeNextCursor(page, before, total, more), total };
  },
};

function readListed(user: unknown) {
  const record = {
    ...Object(user),
    raw_user_meta_data: readOwn(user, 'user_metadata'),
    raw_app_meta_data: readOwn(user, 'app_metadata'),
  };
  const time = parseMs(readOwn(user, 'updated_at')) ?? parseMs(readOwn(user, 'created_at')) ?? 0;
  const body = { type: 'INSERT', table: 'users', schema: 'auth', record, old_record: null };
  return { id: pickId(readOwn(user, 'id')), at: time, body };
}
