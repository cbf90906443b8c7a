import { expect, test } from 'bun:test';
import { hasBrowser } from '../support/browser.ts';
import { closeAfterwards, eachDatabase, endLater, findBarriers, openDashboard } from '../support/dashboard.ts';
import { crowd, FakeApi } from '../support/fakeApi.ts';

closeAfterwards();

const SECRET = 'supabase-header-secret-0123456789';

eachDatabase('back-fill and replay', kind => {
  test.skipIf(!hasBrowser)(
    'everybody at the provider is counted, then read with its progress; a delivery is tried before it is applied again, and copied as curl',
    async () => {
      const provider = new FakeApi('supabase');
      endLater(async () => provider.stop());
      provider.people = crowd('supabase', 30);
      const { page, trouble, api, visit } = await openDashboard(kind, { INLET_ALLOW_PRIVATE_TARGETS: 'true' });
      const endpoint = await api('POST', '/endpoints', { provider: 'supabase', name: 'Users', secret: SECRET });
      const total = async () => (await api('GET', '/contacts?perPage=1')).pagination.totalResults;

      await visit(`/endpoints/${endpoint.id}`);
      await page.getByText('It needs an apiKey of Supabase').waitFor();
      await page.getByRole('button', { name: 'Read everybody' }).click();
      await page.getByRole('alert').getByText('is needed').waitFor();
      await api('PATCH', `/endpoints/${endpoint.id}`, { settings: provider.settings });
      await page.reload();
      await page.getByRole('button', { name: 'Count what it would do' }).click();
      await page.getByText('Only counted. 30 read: 30 created').waitFor();
      expect(await total()).toBe(0);
      expect(await findBarriers(page)).toEqual([]);

      // how far it is, while the provider lets one wait
      let letGo = () => {};
      const held = new Promise<'pass'>(resolve => {
        letGo = () => resolve('pass');
      });
      provider.mishaps = [() => held];
      await page.getByRole('button', { name: 'Read everybody' }).press('Enter');
      await page.getByText('Reading: 0').waitFor();
      await page.getByRole('progressbar', { name: 'How much is read' }).waitFor();
      expect(await findBarriers(page)).toEqual([]);
      letGo();
      await page.getByRole('cell', { name: /^30 read: 30 created/ }).waitFor();
      expect(await total()).toBe(30);

      const record = {
        ...{ id: '6f3f7d0e-0000-4000-8000-000000000001', email: "o'hara@example.com" },
        ...{ created_at: '2026-11-01T12:00:00Z', updated_at: '2026-11-01T12:00:00Z', raw_user_meta_data: {} },
      };
      const answer = await fetch(endpoint.url, {
        method: 'POST',
        headers: { 'x-inlet-secret': SECRET, 'content-type': 'application/json' },
        body: JSON.stringify({ type: 'INSERT', table: 'users', schema: 'auth', old_record: null, record }),
      });
      expect(answer.status).toBe(200);
      await api('PATCH', `/endpoints/${endpoint.id}`, { events: { INSERT: { userGroup: '<b>Users</b>' } } });
      const [delivery] = (await api('GET', '/deliveries')).data;
      await visit(`/deliveries/${delivery.id}`);
      await page.locator('summary', { hasText: 'Apply it again' }).click();
      await page.getByRole('button', { name: 'What would it do?' }).click();
      await page.getByText('userGroup: nothing → <b>Users</b>').waitFor();
      expect((await api('GET', "/contacts/find?email=o'hara@example.com"))[0].userGroup).toBe('');
      expect(await findBarriers(page)).toEqual([]);

      // the command, run by a shell, sends what came and no secret
      const command = await page.getByLabel('As curl').inputValue();
      expect(command).not.toContain(SECRET);
      const heard: unknown[] = [];
      const receiver = Bun.serve({
        port: 0,
        async fetch(request) {
          heard.push(await request.json());
          return new Response('ok');
        },
      });
      endLater(async () => receiver.stop(true));
      const shell = Bun.spawn(['sh', '-c', command], {
        env: { ...process.env, URL: `http://127.0.0.1:${receiver.port}/` },
        stdio: ['ignore', 'ignore', 'ignore'],
      });
      expect(await shell.exited).toBe(0);
      expect(heard).toEqual([(await api('GET', `/deliveries/${delivery.id}`)).payload]);
      expect(JSON.stringify(heard)).toContain("o'hara@example.com");
      expect(trouble.filter(each => !each.includes('status of 409'))).toEqual([]);
    },
    120_000,
  );
});
