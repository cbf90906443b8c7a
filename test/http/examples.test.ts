import { expect, test } from 'bun:test';
import { healthRoute, listApiRoutes } from '../../src/http/v1/index.ts';

const routes = [
  ...listApiRoutes(
    async () => new Response(),
    () => {},
    async () => new Response(),
  ),
  healthRoute,
];

for (const { method, path, response, answer } of routes) {
  test(`${method} ${path}: the example answer is one that its schema allows`, () => {
    const parsed = response.safeParse(answer);
    expect(parsed.error?.issues ?? []).toEqual([]);
    expect(parsed.data).toEqual(answer); // a field that the schema does not know would be gone
  });
}
