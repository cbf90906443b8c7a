// stripe-sync-engine behind the smallest HTTP server: verifies and processes each webhook with its `processWebhook`, and answers once
// its rows are written. Arguments: database URL, signing secret, connections of the pool. Runs under Node and Bun.
import { createServer } from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';

// The CommonJS build: the other one does not find its migrations.
const { runMigrations, StripeSync } = createRequire(import.meta.url)('@supabase/stripe-sync-engine');
const [databaseUrl, secret, max] = process.argv.slice(2);

https.request = () => {
  throw new Error('the benchmark makes no calls to Stripe');
};

/** For each checkout session it asks Stripe for the line items, and no option stops it: here none are fetched and none stored. */
class Offline extends StripeSync {
  async fillCheckoutSessionsLineItems() {}
}

const schema = 'stripe';
const fail = error => {
  console.error(error);
  process.exit(1);
};
await runMigrations({ databaseUrl, schema, logger: { info: () => undefined, error: fail } }); // only logs what fails
const sync = new Offline({
  schema,
  poolConfig: { connectionString: databaseUrl, max: Number(max) },
  stripeSecretKey: 'sk_test_unused',
  stripeWebhookSecret: secret,
  backfillRelatedEntities: false,
  autoExpandLists: false,
  revalidateObjectsViaStripeApi: [],
});

const server = createServer((request, response) => {
  const chunks = [];
  request.on('data', chunk => chunks.push(chunk));
  request.on('end', async () => {
    await sync.processWebhook(Buffer.concat(chunks), request.headers['stripe-signature']).catch(fail);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end('{"received":true}');
  });
});
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })));
