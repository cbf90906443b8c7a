import { expect, test } from 'bun:test';
import { emptyFolder, freePort, start } from '../support/binary.ts';
import { seeded } from '../support/crash.ts';
import { smtpSink } from '../support/smtp.ts';

const MAILS = 150;
const KILLS = 8;
const CONNECTIONS = 5;
const KEY = 'crash-key-0123456789abcdefghij';
const SEED = Number(process.env.SEED ?? 7);

/** A crash between the mail server's yes and our commit is the only one that may send a mail again. */
test('killed with -9 while mails go out: every queued mail arrives, again only under the same Message-ID', async () => {
  const random = seeded(SEED);
  const smtp = await smtpSink({ onMailFrom: (_, __, done) => void setTimeout(done, 5 + random() * 20) });
  const [cwd, port] = [emptyFolder(), await freePort()];
  const env = {
    INLET_API_KEY: KEY,
    INLET_RATE_LIMIT: '0',
    INLET_SMTP_URL: `smtp://127.0.0.1:${smtp.port}`,
    INLET_MAIL_FROM: 'Acme <hello@acme.test>',
  };
  let server = await start({ cwd, env, port });
  const send = (n: number) =>
    fetch(`http://127.0.0.1:${port}/api/v1/transactional`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, 'idempotency-key': `crash-${n}` },
      body: JSON.stringify({ transactionalId: 'example', email: `crash${n}@example.com`, dataVariables: {} }),
    }).then(
      answer => answer.status,
      () => 0, // killed meanwhile: asked again
    );
  const client = (async () => {
    for (let n = 0; n < MAILS; n++) {
      let status = 0;
      while (status !== 200 && status !== 409) {
        status = await send(n);
        if (status !== 200 && status !== 409) await Bun.sleep(10);
      }
    }
  })();
  for (let kill = 0; kill < KILLS; kill++) {
    await Bun.sleep(20 + random() * 200);
    const before = smtp.mails.length;
    // Every other time the server's yes is on its way and nothing of it is committed yet.
    if (kill % 2) for (let i = 0; i < 5000 && smtp.mails.length === before; i++) await Bun.sleep(0);
    await server.kill9();
    server = await start({ cwd, env, port });
  }
  await client;
  const to = () => new Set(smtp.mails.map(mail => mail.to[0]));
  for (let i = 0; i < 400 && to().size < MAILS; i++) await Bun.sleep(50);
  expect(to().size).toBe(MAILS);
  const idsOf = new Map<string, string[]>();
  for (const { to, raw } of smtp.mails) {
    const id = /^Message-ID: (\S+)/im.exec(raw)?.[1] ?? '';
    expect(id).toEndWith('@acme.test>');
    idsOf.set(to[0] ?? '', [...(idsOf.get(to[0] ?? '') ?? []), id]);
  }
  for (const ids of idsOf.values()) {
    expect(new Set(ids).size).toBe(1);
    expect(ids.length).toBeLessThanOrEqual(1 + KILLS);
  }
  expect(smtp.mails.length - MAILS).toBeLessThanOrEqual(KILLS * CONNECTIONS);
  expect(await server.stop()).toBe(0);
  await smtp.close();
}, 60_000);
