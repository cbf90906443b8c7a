import { join } from 'node:path';
import { and, inArray, ne } from 'drizzle-orm';
import { createApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { deliveries } from '../../src/db/schema.ts';
import { API_KEY } from './app.ts';

// An Inlet whose process dies while it applies a delivery that is looked up: `bun killer.ts FOLDER`. Ends with 0 once all is done.
const { config } = readConfig(
  { INLET_API_KEY: API_KEY, INLET_DATA_DIR: join(process.argv[2] ?? '', 'data'), INLET_LOG_LEVEL: 'fatal' },
  {},
);
const begin = Date.now();
const now = () => begin + (Date.now() - begin) * 20; // the wait before a last try takes half a second
const app = await createApp({ ...config, port: 0 }, { now, fetch: () => process.exit(9) });
await app.start();
const open = () =>
  app.ctx.store.read(tx =>
    tx
      .select({ id: deliveries.id })
      .from(deliveries)
      .where(and(ne(deliveries.status, 'processed'), inArray(deliveries.status, ['queued', 'failed'])))
      .limit(1),
  );
while ((await open()).length) await Bun.sleep(5);
await app.stop();
