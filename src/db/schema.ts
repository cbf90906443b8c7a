// One file per owner: the room that writes the tables.
export * from './schema/access.ts';
export * from './schema/audience.ts';
export * from './schema/audits.ts';
export * from './schema/events.ts';
export * from './schema/history.ts';
export * from './schema/imports.ts';
export * from './schema/inbound.ts';
export * from './schema/instance.ts';
export * from './schema/mail.ts';
export * from './schema/outgoing.ts';
export * from './schema/queue.ts';
export * from './schema/stats.ts';
export * from './schema/workflows.ts';
