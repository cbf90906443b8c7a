import { useState } from 'preact/hooks';
import { callApi } from '../api.ts';
import { mayWrite } from '../session.ts';
import { Table } from '../shell/list.tsx';
import { Failure, SelectField, Show, TextField, useAction, useLoaded } from '../ui.tsx';

type Type = 'string' | 'number' | 'boolean' | 'date';
interface Property {
  id: string;
  key: string;
  label: string;
  type: Type;
  isCustom: boolean;
}
const TYPES: [Type, string][] = [
  ['string', 'text'],
  ['number', 'number'],
  ['boolean', 'yes or no'],
  ['date', 'date'],
];

async function loadProperties(): Promise<Property[]> {
  const [all, custom] = await Promise.all([
    callApi<Omit<Property, 'id' | 'isCustom'>[]>('GET', '/contacts/properties'),
    callApi<{ key: string }[]>('GET', '/contacts/properties?list=custom'),
  ]);
  return all.map(each => ({ ...each, id: each.key, isCustom: custom.some(({ key }) => key === each.key) }));
}

/** What a contact can hold; custom ones can get another type. */
export function Properties() {
  const properties = useLoaded('properties', loadProperties);
  return (
    <>
      {mayWrite.value && <Add reload={properties.reload} />}
      <Show of={properties}>
        {all => (
          <Table
            rows={all}
            columns={[
              { title: 'Key', show: each => <code>{each.key}</code> },
              { title: 'Label', show: each => each.label },
              {
                title: 'Type',
                show: each =>
                  each.isCustom && mayWrite.value ? (
                    <Retype key={`${each.key} ${each.type}`} property={each} reload={properties.reload} />
                  ) : (
                    each.type
                  ),
              },
            ]}
          />
        )}
      </Show>
    </>
  );
}

function Add({ reload }: { reload(): Promise<void> }) {
  const [name, setName] = useState('');
  const [type, setType] = useState<Type>('string');
  const { busy, error, run } = useAction();
  const add = async () => {
    await callApi('POST', '/contacts/properties', { name, type });
    setName('');
    await reload();
  };
  return (
    <form
      class="row"
      onSubmit={event => {
        event.preventDefault();
        void run(add);
      }}
    >
      <TextField label="New property" value={name} onInput={setName} placeholder="companySize" required />
      <SelectField label="Its type" value={type} options={TYPES} onChange={next => setType(next)} />
      <button type="submit" disabled={busy}>
        Make the property
      </button>
      <Failure message={error} />
    </form>
  );
}

function Retype({ property, reload }: { property: Property; reload(): Promise<void> }) {
  const [type, setType] = useState(property.type);
  const { busy, error, run } = useAction();
  const save = async () => {
    await callApi('PATCH', `/contacts/properties/${encodeURIComponent(property.key)}`, { type });
    await reload();
  };
  return (
    <div class="row">
      <SelectField label={`Type of ${property.key}`} value={type} options={TYPES} onChange={next => setType(next)} />
      {type !== property.type && (
        <button type="button" disabled={busy} onClick={() => void run(save)}>
          Show all values as this
        </button>
      )}
      <Failure message={error} />
    </div>
  );
}
