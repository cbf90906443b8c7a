import { afterEach, expect, spyOn, test } from 'bun:test';
import { eq } from 'drizzle-orm';
import { mails } from '../../src/db/schema.ts';
import { Mailer } from '../../src/mail/mailer.ts';
import { closeAll, contact, later, message, open, queue, sink, state } from './support.ts';

afterEach(closeAll);

test('the lease of a mail that is under way for minutes is prolonged: nobody else sends it meanwhile', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let taken = 0;
  const server = await sink({
    onData(stream, _, done) {
      taken++;
      stream.resume();
      stream.on('end', () => void released.then(() => done()));
    },
  });
  const app = await open(server.port);
  app.time = Date.now();
  const ada = await contact(app);
  const { id } = await message(app);
  const { store } = app.app.ctx;
  const [slow, other] = [new Mailer(app.app.ctx), new Mailer(app.app.ctx)];
  later(() => slow.stop());
  later(() => other.stop());
  for (const each of [slow, other]) await each.duty(app.now()); // alone one frees at its start what it finds
  const mailId = await queue(app, ada, id);
  const leased = async () => {
    const [row] = await store.read(tx =>
      tx
        .select()
        .from(mails)
        .where(eq(mails.id, mailId ?? '')),
    );
    return { state: row?.state, dueAt: row?.dueAt ?? 0, attempts: row?.attempts };
  };
  const real = performance.now.bind(performance);
  let ahead = 0;
  const clock = spyOn(performance, 'now').mockImplementation(() => real() + ahead);
  try {
    await slow.duty(app.now());
    while (taken === 0) await Bun.sleep(10);
    const first = await leased();
    expect(first.state).toBe('sending');
    for (let minute = 1; minute <= 4; minute++) {
      app.time += 60_000;
      ahead += 60_000;
      await slow.duty(app.now());
      expect(await leased()).toEqual({ ...first, dueAt: first.dueAt + minute * 60_000 });
      await other.duty(app.now());
    }
    release();
    while ((await leased()).state === 'sending') await slow.duty(app.now());
    expect(await state(app, mailId)).toMatchObject({ state: 'sent', attempts: 1 });
    expect(taken).toBe(1);
  } finally {
    release();
    clock.mockRestore();
  }
});
