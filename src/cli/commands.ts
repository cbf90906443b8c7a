import type { Command } from './command.ts';

const json = { json: { help: 'print JSON' } };
const secretFile = { 'secret-file': { value: 'FILE', help: 'read the signing secret from FILE; - is standard input' } };

/** Every command. Each loads its own code when it runs. */
export const COMMANDS: Command[] = [
  {
    name: 'serve',
    summary: 'start the server (the default)',
    args: [],
    options: {},
    details:
      'The first start makes the data folder, the database, the sealing key and an API key, which is shown once.\nStop it with Ctrl-C or SIGTERM: what is in hand is finished first.',
    run: async i => (await import('./serve.ts')).serve(i),
  },
  {
    name: 'endpoints add',
    summary: 'make an endpoint for stripe, clerk, supabase, polar, resend or postmark and show its URL',
    args: ['PROVIDER'],
    options: { name: { value: 'NAME', help: 'what to call it' }, ...secretFile, ...json },
    details: 'The signing secret can come later: most providers show it only after they have the URL.',
    run: async i => (await import('./endpoints.ts')).add(i),
  },
  {
    name: 'endpoints list',
    summary: 'list endpoints, their state and what to do next',
    args: [],
    options: json,
    run: async i => (await import('./endpoints.ts')).list(i),
  },
  {
    name: 'endpoints show',
    summary: 'show one endpoint, its state and what to do next',
    args: ['ID'],
    options: json,
    run: async i => (await import('./endpoints.ts')).show(i),
  },
  {
    name: 'endpoints remove',
    summary: 'remove an endpoint; its URL stops working at once',
    args: ['ID'],
    options: {},
    run: async i => (await import('./endpoints.ts')).remove(i),
  },
  {
    name: 'endpoints set-secret',
    summary: 'add the signing secret that the provider shows; asks for it without echo',
    args: ['ID'],
    options: secretFile,
    details: 'Secrets added before stay valid beside it, so that a provider can change over without a gap.',
    run: async i => (await import('./endpoints.ts')).setSecret(i),
  },
  {
    name: 'endpoints reset-secrets',
    summary: 'forget all signing secrets after the sealing key was lost (server stopped)',
    args: [],
    options: {},
    details: 'Endpoints, contacts and the log stay. Every endpoint then needs its signing secret again.',
    run: async i => (await import('./resetSecrets.ts')).resetAll(i),
  },
  {
    name: 'send-test',
    summary: 'send a correctly signed sample through the running server and print its answer',
    args: ['ENDPOINT_ID', 'EVENT_TYPE'],
    options: { email: { value: 'ADDRESS', help: 'address in the sample (test@example.com)' } },
    run: async i => (await import('./sendTest.ts')).sendTest(i),
  },
  {
    name: 'backfill',
    summary: 'read everybody the provider has already; run again, find what webhooks missed',
    args: ['ENDPOINT_ID'],
    options: {
      'dry-run': { help: 'only count what would be done' },
      'trigger-events': { help: "fire the type's event for people the provider never told of" },
      'key-file': { value: 'FILE', help: 'read the API key from FILE; - is standard input' },
      'project-url': { value: 'URL', help: 'of the Supabase project' },
    },
    details:
      'Asks for an API key that may read customers or users when none is stored, without echo. The running server does the\nwork; without one this command does. Stopped anywhere, it goes on where it was.',
    run: async i => (await import('./backfill.ts')).runBackfill(i),
  },
  {
    name: 'recipes list',
    summary: 'list workflows that can be made at once: welcome, trial ending, dunning, receipt',
    args: [],
    options: json,
    run: async i => (await import('./recipes.ts')).list(i),
  },
  {
    name: 'recipes add',
    summary: 'make the messages and the workflow of a recipe, as a draft',
    args: ['ID'],
    options: {
      name: { value: 'NAME', help: 'what to call the workflow; a name that is taken is refused' },
      endpoint: { value: 'ENDPOINT_ID', help: 'switch on the triggers that it needs there' },
      ...json,
    },
    details: 'Nothing is sent before you start it: POST /api/v1/workflows/ID/start.',
    run: async i => (await import('./recipes.ts')).add(i),
  },
  {
    name: 'login',
    summary: 'print a link that signs in on the page, once and within 15 minutes',
    args: [],
    options: {},
    run: async i => (await import('./login.ts')).printLink(i),
  },
  {
    name: 'keys create',
    summary: 'make an API key and show it, this once',
    args: ['NAME'],
    options: { 'read-only': { help: 'it changes nothing and sees no payloads or mails' } },
    run: async i => (await import('./keys.ts')).create(i),
  },
  {
    name: 'keys list',
    summary: 'list API keys',
    args: [],
    options: json,
    run: async i => (await import('./keys.ts')).list(i),
  },
  {
    name: 'keys revoke',
    summary: 'revoke an API key; it stops working at once',
    args: ['ID'],
    options: {},
    run: async i => (await import('./keys.ts')).revoke(i),
  },
  {
    name: 'backup',
    summary: 'write a checked copy of the database, also while the server runs',
    args: ['FILE'],
    options: {},
    details:
      'The sealing key is not in it: keep secret.key (or INLET_SECRET_KEY) elsewhere, the secrets in the copy need it.',
    run: async i => (await import('./backup.ts')).backup(i),
  },
  {
    name: 'restore',
    summary: 'put a backup in the place of the database (server stopped)',
    args: ['FILE'],
    options: {},
    details: 'The replaced database stays beside it as inlet.db.before-restore-TIME.',
    run: async i => (await import('./backup.ts')).restore(i),
  },
  {
    name: 'migrate-data',
    summary: 'move everything from SQLite to PostgreSQL or back (servers stopped)',
    args: [],
    options: {
      from: { value: 'SOURCE', help: 'a SQLite file, a postgres:// URL, or postgres: INLET_DATABASE_URL' },
      to: { value: 'TARGET', help: 'the other kind; new and empty' },
    },
    details:
      'The source stays as it is, and the target is compared with it row by row. Stopped at any moment, it goes on when run again;\nuntil it is through, no server starts on the target. A password in a flag shows in ps: better set INLET_DATABASE_URL_FILE.',
    run: async i => (await import('./migrateData.ts')).migrateData(i),
  },
  {
    name: 'health',
    summary: 'exit 0 if the server on this host answers, else 1',
    args: [],
    options: {},
    run: async i => (await import('./health.ts')).printHealth(i),
  },
  {
    name: 'doctor',
    summary: 'check folder, database, key, clock, disk and public URL; exit 1 on trouble',
    args: [],
    options: { ...json, deep: { help: 'also work out every contact anew and compare' } },
    run: async i => (await import('./doctor.ts')).runDoctor(i),
  },
];
