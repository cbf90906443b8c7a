import { afterAll, expect, test } from 'bun:test';
import { API_KEY } from './support/app.ts';
import { emptyFolder, start } from './support/binary.ts';
import { hasBrowser, openBrowser } from './support/browser.ts';

let stop = async () => {};
afterAll(() => stop());

test.skipIf(!hasBrowser)(
  'Swagger UI works offline: Authorize, a reload keeps the key and the browser does not, Try it out makes an endpoint, no CSP violation, no other host',
  async () => {
    const server = await start({ cwd: emptyFolder(), env: { INLET_API_KEY: API_KEY } });
    const { page, trouble, close } = await openBrowser(server.url);
    stop = async () => {
      await close();
      await server.stop();
    };
    await page.goto(`${server.url}/swagger`);
    await page.getByRole('button', { name: 'Authorize' }).click();
    await page.locator('.auth-container input').first().fill(API_KEY);
    await page.locator('.auth-btn-wrapper button[type=submit]').click();
    await page.locator('.auth-btn-wrapper .btn-done').click();
    await page.reload();
    expect(await page.evaluate('localStorage.length')).toBe(0);
    const execute = async (method: string, at: string) => {
      const operation = page.locator(`.opblock-${method}`, { has: page.locator(`[data-path="${at}"]`) }).first();
      await operation.locator('.opblock-summary').click();
      await operation.getByRole('button', { name: 'Execute' }).click();
      const answer = operation.locator('.live-responses-table tbody .response').first();
      await answer.waitFor();
      return {
        status: (await answer.locator('.response-col_status').textContent())?.trim().slice(0, 3),
        body: await answer.locator('.response-col_description').textContent(),
      };
    };
    const read = await execute('get', '/api/v1/providers');
    expect(read.status).toBe('200');
    expect(read.body).toContain('supabase');
    const made = await execute('post', '/api/v1/endpoints');
    expect(made.status).toBe('201');
    expect(made.body).toContain('needsSecret');
    const listed = await fetch(`${server.url}/api/v1/endpoints`, { headers: { authorization: `Bearer ${API_KEY}` } });
    expect(((await listed.json()) as { data: unknown[] }).data).toHaveLength(1);
    expect(trouble).toEqual([]);
    // and had there been trouble, it would have been heard
    await page.evaluate(`document.body.append(Object.assign(new Image(), { src: 'http://other.invalid/x.png' }))`);
    for (let i = 0; i < 100 && !trouble.some(each => each.startsWith('CSP: img-src')); i++) await Bun.sleep(20);
    expect(trouble.join()).toContain('CSP: img-src http://other.invalid');
  },
  60_000,
);
