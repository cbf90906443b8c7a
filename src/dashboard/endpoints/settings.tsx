import { useState } from 'preact/hooks';
import { callApi, type Endpoint, type Provider, type SettingSchema } from '../api.ts';
import { mayWrite } from '../session.ts';
import { CheckField, Failure, SelectField, TextField, useAction } from '../ui.tsx';

type Values = Record<string, unknown>;

/** The provider's settings, as a form made of the schema that the API gives. Keys that are never shown stay as they are when left empty. */
export function ProviderSettings(props: { endpoint: Endpoint; provider: Provider; show(changed: Endpoint): void }) {
  const { endpoint, provider, show } = props;
  const [changed, setChanged] = useState<Values>({});
  const [saved, setSaved] = useState(false);
  const { busy, error, run } = useAction();
  if (!mayWrite.value) return null;
  const fields = Object.entries(provider.settings.properties ?? {});
  const save = async () => {
    show(await callApi<Endpoint>('PATCH', `/endpoints/${endpoint.id}`, { settings: changed }));
    setChanged({});
    setSaved(true);
  };
  return (
    <details>
      <summary>Settings of {provider.name}</summary>
      <form
        class="narrow"
        onSubmit={event => {
          event.preventDefault();
          void run(save);
        }}
      >
        {fields.map(([name, schema]) => (
          <Setting
            key={name}
            name={name}
            schema={schema}
            value={name in changed ? changed[name] : (endpoint.settings[name] ?? schema.default)}
            onChange={value => {
              setSaved(false);
              setChanged({ ...changed, [name]: value });
            }}
          />
        ))}
        <Failure message={error} />
        <button type="submit" disabled={busy || Object.keys(changed).length === 0}>
          Save the settings
        </button>
        {saved && <p role="status">Saved.</p>}
      </form>
    </details>
  );
}

function Setting(props: { name: string; schema: SettingSchema; value: unknown; onChange(value: unknown): void }) {
  const { name, schema, value, onChange } = props;
  const hint = schema.description ?? '';
  if (schema.type === 'boolean')
    return <CheckField label={name} hint={hint} value={value === true} onChange={onChange} />;
  if (schema.enum)
    return (
      <SelectField
        label={name}
        hint={hint}
        value={String(value ?? '')}
        options={schema.enum.map(each => [each, each])}
        onChange={onChange}
      />
    );
  const isNumber = schema.type === 'integer' || schema.type === 'number';
  return (
    <TextField
      label={name}
      hint={hint}
      type={isNumber ? 'number' : name === 'apiKey' ? 'password' : 'text'}
      value={value === undefined || value === null ? '' : String(value)}
      onInput={text => onChange(text === '' ? null : isNumber ? Number(text) : text)}
    />
  );
}
