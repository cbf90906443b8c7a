import { expect } from 'bun:test';
import { later, sink, smtp } from '../mail/support.ts';
import { TestApp } from '../support/app.ts';

/** The app on a port with a real mail server behind it. It does no work by itself: `drain` does. */
export async function served() {
  const server = await sink();
  const app = await TestApp.open({}, smtp(server.port));
  later(() => app.stop());
  const http = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: request => app.app.fetch(request) });
  later(() => http.stop(true));
  return { app, server, apiRoot: `${http.url}api/` };
}

/** How a client's call fails: status and the server's message, as the client shows them. */
export const failure = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'no failure',
    (error: Error & { json?: unknown }) => {
      expect(error.json).toEqual({ success: false, message: expect.any(String) });
      return error.message;
    },
  );

export const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/);
