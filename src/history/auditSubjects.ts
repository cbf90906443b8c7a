import { asc, eq } from 'drizzle-orm';
import {
  backfills,
  deliveries,
  emailMessages,
  endpoints,
  imports,
  jobs,
  keys,
  lists,
  mails,
  meta,
  properties,
  secrets,
  sessions,
  transactionals,
  webhookCalls,
  webhookSubscriptions,
  workflows,
} from '../db/schema.ts';
import type { Tx } from '../db/store.ts';

type State = Record<string, unknown> | null;

/** What of a thing is kept before and after a change: settings and states, no secrets, nothing about people. */
const SUBJECTS = {
  endpoint: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(endpoints).where(eq(endpoints.id, id));
    if (!row) return null;
    const { provider, name, paused, settings, events } = row;
    const own = await tx.select().from(secrets).where(eq(secrets.endpointId, id)).orderBy(asc(secrets.id));
    const shown = own.map(({ id: secretId, hint, expiresAt }) => ({ id: secretId, hint, expiresAt }));
    return { provider, name, paused, settings, events, apiKeySet: row.sealedApiKey !== null, secrets: shown };
  },
  list: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(lists).where(eq(lists.id, id));
    return row ? { name: row.name, description: row.description, isPublic: row.isPublic } : null;
  },
  property: async (tx: Tx, key: string): Promise<State> => {
    const [row] = await tx.select().from(properties).where(eq(properties.key, key));
    return row ? { type: row.type } : null;
  },
  key: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(keys).where(eq(keys.id, id));
    return row ? { name: row.name, hint: row.hint, scope: row.scope } : null;
  },
  session: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(sessions).where(eq(sessions.id, id));
    return row ? { state: row.state, scope: row.scope } : null;
  },
  workflow: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(workflows).where(eq(workflows.id, id));
    if (!row) return null;
    const { name, description, mailingListId, state, revisionId, exitOn } = row;
    const nodes = (row.graph as { nodes?: Record<string, { typeName: string }> } | null)?.nodes ?? {};
    const types = Object.values(nodes).map(node => node.typeName);
    return { name, description, mailingListId, state, revisionId, exitOn, nodes: types.sort() };
  },
  message: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(emailMessages).where(eq(emailMessages.id, id));
    if (!row) return null;
    const { subject, html, text, fromName, fromEmail, replyToEmail } = row.content;
    const sizes = { htmlLength: html.length, textLength: text.length };
    return { subject, ...sizes, fromName, fromEmail, replyTo: replyToEmail !== '', revisionId: row.revisionId };
  },
  transactional: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(transactionals).where(eq(transactionals.id, id));
    return row ? { name: row.name, draftId: row.draftId, publishedId: row.publishedId } : null;
  },
  subscription: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(webhookSubscriptions).where(eq(webhookSubscriptions.id, id));
    if (!row) return null;
    const { name, eventNames, state, secretHint } = row;
    const parsed = URL.parse(row.url); // null: one of an older version, which is no longer let in
    const url = parsed && parsed.origin + parsed.pathname; // what follows may be a password
    return { name, url, eventNames, state, secretHint };
  },
  call: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select({ state: webhookCalls.state }).from(webhookCalls).where(eq(webhookCalls.id, id));
    return row ?? null;
  },
  mail: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select({ state: mails.state }).from(mails).where(eq(mails.id, id));
    return row ?? null;
  },
  mailSettings: async (tx: Tx, key: string): Promise<State> => {
    const [row] = await tx.select().from(meta).where(eq(meta.key, key));
    return row ? (JSON.parse(row.value) as Record<string, unknown>) : {};
  },
  job: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select({ kind: jobs.kind, status: jobs.status }).from(jobs).where(eq(jobs.id, id));
    return row ?? null;
  },
  delivery: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select({ status: deliveries.status }).from(deliveries).where(eq(deliveries.id, id));
    return row ?? null;
  },
  backfill: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx.select().from(backfills).where(eq(backfills.id, id));
    return row ? { endpointId: row.endpointId, state: row.state, dryRun: row.dryRun } : null;
  },
  import: async (tx: Tx, id: string): Promise<State> => {
    const [row] = await tx
      .select({ state: imports.state, bytes: imports.bytes })
      .from(imports)
      .where(eq(imports.id, id));
    return row ?? null;
  },
};

export type AuditSubject = keyof typeof SUBJECTS;

/** A thing as it is in this transaction; null: it is not there. */
export const readSubject = (tx: Tx, subject: AuditSubject, id: string): Promise<State> => SUBJECTS[subject](tx, id);
