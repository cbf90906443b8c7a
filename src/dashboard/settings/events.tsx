import type { z } from 'zod';
import type { eventView } from '../../http/v1/shapes.ts';
import { linkTo } from '../router.ts';
import { type Column, List } from '../shell/list.tsx';
import { Time } from '../ui.tsx';

type Event = z.infer<typeof eventView>;

const COLUMNS: Column<Event>[] = [
  { title: 'When', show: each => <Time at={each.createdAt} /> },
  { title: 'Event', show: each => each.eventName },
  { title: 'Contact', show: each => <a href={linkTo(['contacts', each.contactId])}>{each.email || each.contactId}</a> },
  {
    title: 'Properties',
    show: each =>
      Object.entries(each.eventProperties)
        .map(([key, value]) => `${key}: ${value}`)
        .join(', '),
  },
  {
    title: 'By',
    show: each =>
      each.deliveryId === null ? (
        <span class="faint">the API</span>
      ) : (
        <a href={linkTo(['deliveries', each.deliveryId])}>a webhook</a>
      ),
  },
];

/** What happened to contacts, newest first. */
export function Events() {
  return (
    <List
      at={['settings', 'events']}
      api="/events"
      filters={[
        { name: 'name', label: 'Event' },
        { name: 'email', label: 'Address' },
      ]}
      hidden={['contactId', 'since', 'until']}
      columns={COLUMNS}
      empty={
        <>
          No event was fired yet. Name one at an event type of <a href={linkTo(['endpoints'])}>an endpoint</a>, or send
          one by <a href="../swagger">POST /events/send</a>.
        </>
      }
    />
  );
}
