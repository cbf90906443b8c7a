import { useState } from 'preact/hooks';
import { appendQuery, callApi, type Endpoint, type EventSettings, type List, type Provider } from '../api.ts';
import { mayWrite } from '../session.ts';
import { useLoaded } from '../ui.tsx';
import { EventForm } from './eventForm.tsx';
import { MailEventForm } from './mailEventForm.tsx';
import type { SamplePath } from './mapping.tsx';

interface Props {
  endpoint: Endpoint;
  provider: Provider;
  lists: List[];
  show(changed: Endpoint): void;
  reload(): Promise<void>;
}

/** What each event type does, one line each; opened, a form. */
export function EventList(props: Props) {
  return (
    <section aria-labelledby="events">
      <h2 id="events">Events</h2>
      <p class="hint">What happens when one of these arrives.{mayWrite.value && ' Open one to change it.'}</p>
      {props.provider.eventTypes.map(({ type, description }) => {
        const settings = props.endpoint.events[type];
        return (
          settings && <EventLine key={type} {...props} type={type} description={description} settings={settings} />
        );
      })}
    </section>
  );
}

type LineProps = Props & { type: string; description: string; settings: EventSettings };

function EventLine(props: LineProps) {
  const [open, setOpen] = useState(false);
  const { type, description, settings, lists } = props;
  const line = (
    <>
      <strong>{type}</strong> <span class="faint">{description}</span>
      <span class="says">
        {props.provider.about === 'people' ? summarize(settings, lists) : settings.enabled ? '' : 'off'}
      </span>
    </>
  );
  if (!mayWrite.value) return <p class="event">{line}</p>;
  return (
    <details class="event" onToggle={event => setOpen(event.currentTarget.open)}>
      <summary>{line}</summary>
      {open && <Opened {...props} />}
    </details>
  );
}

interface Sample {
  source: 'delivery' | 'sample';
  paths: SamplePath[];
}

/** With the paths of the newest payload of this type to choose from, else those of the provider's sample. */
function Opened(props: LineProps) {
  const { endpoint, provider, type, settings, show } = props;
  if (provider.about === 'mail')
    return <MailEventForm endpointId={endpoint.id} type={type} enabled={settings.enabled} show={show} />;
  return <OpenedPerson {...props} />;
}

function OpenedPerson({ endpoint, type, settings, lists, show, reload }: LineProps) {
  const sample = useLoaded(`${endpoint.id} ${type}`, () =>
    callApi<Sample>('GET', appendQuery(`/endpoints/${endpoint.id}/samples`, { type })),
  );
  return (
    <EventForm
      endpointId={endpoint.id}
      type={type}
      settings={settings}
      lists={lists}
      paths={sample.data?.paths ?? []}
      isReal={sample.data?.source === 'delivery'}
      show={show}
      reload={reload}
    />
  );
}

/** The settings that matter, in a few words. */
function summarize(settings: EventSettings, lists: List[]): string {
  if (!settings.enabled) return 'off';
  const names = settings.mailingLists.map(id => lists.find(each => each.id === id)?.name ?? id);
  const properties = Object.keys(settings.contactProperties);
  return [
    settings.onDelete && `on deletion: ${settings.onDelete}`,
    settings.userGroup && `group ${settings.userGroup}`,
    names.length > 0 && `lists ${names.join(', ')}`,
    settings.triggerEvent && `event ${settings.triggerEvent}`,
    properties.length > 0 && `properties ${properties.join(', ')}`,
    !settings.syncNames && 'names are left alone',
  ]
    .filter(Boolean)
    .join(' · ');
}
