import { and, eq } from 'drizzle-orm';
import { buildWriteCall } from '../audience/apiCalls.ts';
import { findContact } from '../audience/contacts.ts';
import { callPeople } from '../audience/personCall.ts';
import type { Context } from '../context.ts';
import { lists, memberships } from '../db/schema.ts';
import type { Tx } from '../db/store.ts';
import { makeId } from '../id.ts';
import { changeMind, HOUR_MS } from './changeMind.ts';
import { escapeHtml, type Recipient, showPage, showTooOften } from './linkPage.ts';

const MOST_CHANGES = 6; // of lists, for an address within an hour, in this process
const MOST_ADDRESSES = 10_000; // remembered

/** What an address gets, and what it may choose: the public lists. */
async function readChoices(tx: Tx, email: string) {
  const contact = await findContact(tx, { email });
  const open = await tx.select().from(lists).where(eq(lists.isPublic, true)).orderBy(lists.createdAt, lists.id);
  const joined = await tx
    .select({ id: memberships.listId })
    .from(memberships)
    .innerJoin(lists, and(eq(lists.id, memberships.listId), eq(lists.isPublic, true)))
    .where(eq(memberships.contactId, contact?.id ?? ''));
  const on = new Set(joined.map(row => row.id));
  return { contact, open, on, subscribed: contact?.subscribed ?? false };
}
type Choices = Awaited<ReturnType<typeof readChoices>>;

/** When lists of an address were changed lately, ms. */
const changes = new WeakMap<Context, Map<string, number[]>>();

/** Counts a change; false: there were too many within the hour. */
function countChange(ctx: Context, email: string): boolean {
  const mine = changes.get(ctx) ?? new Map<string, number[]>();
  changes.set(ctx, mine);
  const now = ctx.now();
  const lately = (mine.get(email) ?? []).filter(at => at <= now && now - at < HOUR_MS);
  if (lately.length >= MOST_CHANGES) return false;
  mine.delete(email); // behind the others
  mine.set(email, [...lately, now]);
  const [oldest] = mine.keys();
  if (mine.size > MOST_ADDRESSES && oldest !== undefined) mine.delete(oldest);
  return true;
}

/** The preference page: `form` null shows it and changes nothing, else it is what was submitted. */
export async function choosePreferences(ctx: Context, to: Recipient, form: URLSearchParams | null): Promise<Response> {
  const before = await ctx.store.read(tx => readChoices(tx, to.email));
  const action = form?.get('action');
  if (form === null || (action !== 'save' && action !== 'unsubscribe')) return showForm(before, '');
  if (action === 'unsubscribe' || !form.has('subscribed')) {
    await changeMind(ctx, to, { subscribed: false, reason: 'page' });
    if (action === 'unsubscribe')
      return showForm(await ctx.store.read(tx => readChoices(tx, to.email)), 'You get no more mails.');
  } else if (before.contact && !before.subscribed) {
    const decision = await changeMind(ctx, to, { subscribed: true, reason: 'page' });
    if (decision === 'tooOften') return showTooOften();
  }
  const wanted = new Set(form.getAll('list'));
  const changed = before.open.filter(({ id }) => wanted.has(id) !== before.on.has(id));
  if (before.contact && changed.length) {
    if (!countChange(ctx, to.email)) return showTooOften();
    const mailingLists = Object.fromEntries(changed.map(({ id }) => [id, wanted.has(id)]));
    await callPeople(
      ctx.people,
      buildWriteCall(
        'update',
        { email: to.email, mailingLists },
        { key: makeId('link', ctx.now()), source: 'Preference page' },
      ),
    );
  }
  return showForm(await ctx.store.read(tx => readChoices(tx, to.email)), 'Saved.');
}

function showForm({ contact, open, on, subscribed }: Choices, said: string): Response {
  const note = said && `<p role="status">${said}</p>`;
  const off = '<button name="action" value="unsubscribe">Unsubscribe from everything</button>';
  if (!contact)
    return showPage(
      200,
      'What you get',
      `${note}<p>Nobody is known here by this address now.</p><form method="post">${off}</form>`,
    );
  const box = (name: string, value: string, isOn: boolean, text: string) =>
    `<li><label><input type="checkbox" name="${name}" value="${escapeHtml(value)}"${isOn ? ' checked' : ''}> ${text}</label></li>`;
  const rows = open.map(({ id, name, description }) =>
    box(
      'list',
      id,
      on.has(id),
      `${escapeHtml(name)}${description ? `<br><small>${escapeHtml(description)}</small>` : ''}`,
    ),
  );
  const all = box('subscribed', 'yes', subscribed, 'Mails from us, other than those that you ask for or need');
  return showPage(
    200,
    'What you get',
    `${note}<form method="post"><ul>${all}${rows.join('')}</ul><p><button name="action" value="save">Save</button></p><p>${off}</p></form>`,
  );
}
