import { useState } from 'preact/hooks';
import { callApi, type Endpoint, type EventSettings, type List } from '../api.ts';
import { CheckField, Failure, SelectField, TextField, useAction } from '../ui.tsx';
import { Mapping, type Row, type SamplePath } from './mapping.tsx';
import { PreviewSettings } from './preview.tsx';

interface Props {
  endpointId: string;
  type: string;
  settings: EventSettings;
  lists: List[];
  paths: SamplePath[];
  /** Whether the paths are of a payload that came. */
  isReal: boolean;
  show(changed: Endpoint): void;
  reload(): Promise<void>;
}

const ON_DELETE: [NonNullable<EventSettings['onDelete']>, string][] = [
  ['unsubscribe', 'unsubscribe the contact'],
  ['delete', 'delete the contact'],
  ['ignore', 'leave the contact as it is'],
];

/** The settings of one event type. Saves only what was changed. */
export function EventForm({ endpointId, type, settings, lists, paths, isReal, show, reload }: Props) {
  const [given, setGiven] = useState<Partial<EventSettings>>({});
  const [contactRows, setContactRows] = useState<Row[]>(Object.entries(settings.contactProperties));
  const [eventRows, setEventRows] = useState<Row[]>(Object.entries(settings.eventProperties));
  const [saved, setSaved] = useState(false);
  const { busy, error, run } = useAction();
  const now = { ...settings, ...given };
  const change = (part: Partial<EventSettings>) => {
    setSaved(false);
    setGiven({ ...given, ...part });
  };
  const changeRows = (key: 'contactProperties' | 'eventProperties', set: (rows: Row[]) => void) => (rows: Row[]) => {
    set(rows);
    change({ [key]: Object.fromEntries(rows.filter(([name, path]) => name && path)) });
  };
  const save = async () => {
    show(await callApi<Endpoint>('PATCH', `/endpoints/${endpointId}`, { events: { [type]: given } }));
    setGiven({});
    setSaved(true);
  };
  return (
    <form
      class="narrow"
      aria-label={`Settings of ${type}`}
      onSubmit={event => {
        event.preventDefault();
        void run(save);
      }}
    >
      <CheckField
        label="Apply this event"
        hint="Off: it is answered, and nothing happens."
        value={now.enabled}
        onChange={enabled => change({ enabled })}
      />
      {now.onDelete !== undefined && (
        <SelectField
          label="When somebody is deleted at the provider"
          value={now.onDelete}
          options={ON_DELETE}
          onChange={onDelete => change({ onDelete })}
        />
      )}
      <CheckField
        label="Take over first and last name"
        value={now.syncNames}
        onChange={syncNames => change({ syncNames })}
      />
      <TextField
        label="User group"
        value={now.userGroup ?? ''}
        onInput={text => change({ userGroup: text || null })}
        hint="The contact gets this group. Empty: its group stays."
      />
      <Lists
        lists={lists}
        chosen={now.mailingLists}
        change={mailingLists => change({ mailingLists })}
        reload={reload}
      />
      <TextField
        label="Fire an event"
        value={now.triggerEvent ?? ''}
        onInput={text => change({ triggerEvent: text || null })}
        placeholder="signup"
        hint="Workflows and outgoing webhooks listen to its name. Empty: none."
      />
      {now.triggerEvent && (
        <>
          <TextField
            label="Not if it is older than (hours)"
            type="number"
            value={String(now.triggerMaxAgeHours)}
            onInput={text => change({ triggerMaxAgeHours: Number(text) })}
          />
          <Mapping
            legend="Properties of the event"
            rows={eventRows}
            paths={paths}
            isReal={isReal}
            change={changeRows('eventProperties', setEventRows)}
          />
        </>
      )}
      <Mapping
        legend="Properties of the contact"
        rows={contactRows}
        paths={paths}
        isReal={isReal}
        change={changeRows('contactProperties', setContactRows)}
      />
      {Object.keys(given).length > 0 && <PreviewSettings endpointId={endpointId} type={type} change={given} />}
      <Failure message={error} />
      <button type="submit" class="main" disabled={busy || Object.keys(given).length === 0}>
        Save
      </button>
      {saved && <p role="status">Saved. It holds from the next webhook on; a replay applies it to earlier ones.</p>}
    </form>
  );
}

function Lists(props: { lists: List[]; chosen: string[]; change(ids: string[]): void; reload(): Promise<void> }) {
  const { lists, chosen, change, reload } = props;
  const [name, setName] = useState('');
  const { busy, error, run } = useAction();
  const add = async () => {
    const { id } = await callApi<List>('POST', '/lists', { name });
    await reload();
    change([...chosen, id]);
    setName('');
  };
  return (
    <fieldset>
      <legend>Mailing lists</legend>
      {lists.length === 0 && <p class="hint">There are no lists yet. Make the first one here.</p>}
      {lists.map(({ id, name: shown }) => (
        <CheckField
          key={id}
          label={shown}
          value={chosen.includes(id)}
          onChange={on => change(on ? [...chosen, id] : chosen.filter(each => each !== id))}
        />
      ))}
      <div class="row">
        <TextField label="New list" value={name} onInput={setName} />
        <button type="button" disabled={busy || !name.trim()} onClick={() => void run(add)}>
          Make the list
        </button>
      </div>
      <Failure message={error} />
    </fieldset>
  );
}
