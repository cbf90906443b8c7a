import { useRef, useState } from 'preact/hooks';
import { callApi, type List, type Person } from '../api.ts';
import { linkTo } from '../router.ts';
import { CheckField, Failure, SelectField, Show, TextField, useAction, useLoaded } from '../ui.tsx';

interface Property {
  key: string;
  label: string;
  type: 'string' | 'number' | 'boolean' | 'date';
}
interface Props {
  of: Person;
  lists: List[];
  reload(): Promise<void>;
}
/** Texts as they stand in the form, by key; lists by id. */
interface Draft {
  texts: Record<string, string>;
  lists: Record<string, boolean>;
}

const OWN: [key: string, label: string][] = [
  ['firstName', 'First name'],
  ['lastName', 'Last name'],
  ['userGroup', 'User group'],
];

const readText = (value: unknown): string => (value === null || value === undefined ? '' : String(value));

/** A text of the form as the API wants it: empty removes. @throws Error where it is no number */
function readValue(text: string, { key, type }: Property): string | number | boolean | null {
  if (text.trim() === '') return null;
  if (type === 'boolean') return text === 'true';
  if (type !== 'number') return text;
  const number = Number(text);
  if (!Number.isFinite(number)) throw new Error(`${key}: ${text} is no number.`);
  return number;
}

/** Names, group, properties and lists of a person; what was not touched is not sent, so that providers go on to say it. */
export function Edit(props: Props) {
  const [isOpen, setOpen] = useState(false);
  const [isSaved, setSaved] = useState(false);
  const summary = useRef<HTMLElement>(null);
  const reload = async () => {
    await props.reload();
    summary.current?.focus(); // the button that had it goes
    setOpen(false);
    setSaved(true);
  };
  return (
    <>
      <details open={isOpen} onToggle={event => setOpen(event.currentTarget.open)}>
        <summary ref={summary}>Edit</summary>
        {isOpen && <Form {...props} reload={reload} />}
      </details>
      {isSaved && !isOpen && <p role="status">Saved.</p>}
    </>
  );
}

function Form({ of: person, lists, reload }: Props) {
  const properties = useLoaded('custom', () => callApi<Property[]>('GET', '/contacts/properties?list=custom'));
  const [draft, setDraft] = useState<Draft>({ texts: {}, lists: {} });
  const { busy, error, run } = useAction();
  const textOf = (key: string) => draft.texts[key] ?? readText(person[key]);
  const setText = (key: string, text: string) => setDraft({ ...draft, texts: { ...draft.texts, [key]: text } });
  const save = async () => {
    const changed = Object.entries(draft.texts).filter(([key, text]) => text !== readText(person[key]));
    const values = changed.map(([key, text]) => {
      const property = properties.data?.find(each => each.key === key);
      return [key, property ? readValue(text, property) : text.trim() || null];
    });
    const mailingLists = Object.fromEntries(
      Object.entries(draft.lists).filter(([id, isOn]) => isOn !== id in person.mailingLists),
    );
    await callApi('PUT', '/contacts/update', { email: person.email, ...Object.fromEntries(values), mailingLists });
    await reload();
  };
  return (
    <form
      class="narrow"
      onSubmit={event => {
        event.preventDefault();
        void run(save);
      }}
    >
      {OWN.map(([key, label]) => (
        <TextField key={key} label={label} value={textOf(key)} onInput={text => setText(key, text)} />
      ))}
      {lists.length > 0 && (
        <fieldset>
          <legend>Lists</legend>
          {lists.map(({ id, name }) => (
            <CheckField
              key={id}
              label={name}
              value={draft.lists[id] ?? id in person.mailingLists}
              onChange={isOn => setDraft({ ...draft, lists: { ...draft.lists, [id]: isOn } })}
            />
          ))}
        </fieldset>
      )}
      <fieldset>
        <legend>Properties</legend>
        <Show of={properties}>
          {all =>
            all.map(each => (
              <PropertyField key={each.key} of={each} text={textOf(each.key)} set={text => setText(each.key, text)} />
            ))
          }
        </Show>
        <p class="hint">
          One that is emptied is removed. <a href={linkTo(['settings', 'properties'])}>Make a new property</a>
        </p>
      </fieldset>
      <Failure message={error} />
      <button type="submit" class="main" disabled={busy}>
        Save
      </button>
    </form>
  );
}

function PropertyField(props: { of: Property; text: string; set(text: string): void }) {
  const { of: property, text, set } = props;
  if (property.type === 'boolean')
    return (
      <SelectField
        label={property.key}
        value={text}
        options={[
          ['', 'not set'],
          ['true', 'yes'],
          ['false', 'no'],
        ]}
        onChange={set}
      />
    );
  const hint = property.type === 'date' ? { hint: 'A date: 2026-11-30, or with its time 2026-11-30T12:00:00Z' } : {};
  return (
    <TextField
      label={property.key}
      value={text}
      onInput={set}
      type={property.type === 'number' ? 'number' : 'text'}
      {...hint}
    />
  );
}
