import type { ComponentChildren } from 'preact';
import { Tabs } from '../shell/shell.tsx';
import { Screen } from '../ui.tsx';
import { AuditLog } from './audit.tsx';
import { Events } from './events.tsx';
import { Jobs } from './jobs.tsx';
import { Keys } from './keys.tsx';
import { Lists } from './lists.tsx';
import { Webhooks } from './outgoing.tsx';
import { WebhookDetail } from './outgoingDetail.tsx';
import { Properties } from './properties.tsx';
import { Server } from './server.tsx';

const TABS: [name: string, path: string[]][] = [
  ['Lists', ['settings', 'lists']],
  ['Properties', ['settings', 'properties']],
  ['Events', ['settings', 'events']],
  ['Keys and sessions', ['settings', 'keys']],
  ['Outgoing webhooks', ['settings', 'webhooks']],
  ['Jobs', ['settings', 'jobs']],
  ['Audit', ['settings', 'audit']],
  ['Server', ['settings', 'server']],
];

const PARTS: Record<string, () => ComponentChildren> = {
  lists: () => <Lists />,
  properties: () => <Properties />,
  events: () => <Events />,
  keys: () => <Keys />,
  webhooks: () => <Webhooks />,
  jobs: () => <Jobs />,
  audit: () => <AuditLog />,
  server: () => <Server />,
};

export function Route({ path: [, part = 'server', id] }: { path: string[] }) {
  if (part === 'webhooks' && id) return <WebhookDetail key={id} id={id} />;
  const show = Object.hasOwn(PARTS, part) ? PARTS[part] : undefined;
  return (
    <Screen title="Settings">
      <Tabs label="Settings" tabs={TABS} />
      {show?.() ?? <p>There is no such part of the settings.</p>}
    </Screen>
  );
}
