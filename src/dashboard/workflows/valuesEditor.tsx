import { useState } from 'preact/hooks';
import { SelectField, TextField } from '../ui.tsx';
import type { Choices } from './choices.ts';
import { readValue } from './filterEditor.tsx';

type Value = string | number | boolean | null;

/** What a workflow may not set. */
const NOT_SET = ['email', 'userId', 'source', 'subscribed'];

interface Props {
  label: string;
  hint?: string;
  value: unknown;
  choices: Choices;
  onChange(value: Record<string, Value>): void;
}

/** Properties with the values that they get. */
export function ValuesEditor({ label, hint, value, choices, onChange }: Props) {
  const [added, setAdded] = useState('');
  const set = (value ?? {}) as Record<string, Value>;
  const free = choices.properties.filter(([key]) => !NOT_SET.includes(key) && !Object.hasOwn(set, key));
  const remove = (key: string) => onChange(Object.fromEntries(Object.entries(set).filter(([each]) => each !== key)));
  return (
    <fieldset>
      <legend>{label}</legend>
      {hint && <p class="hint">{hint}</p>}
      {Object.entries(set).map(([key, given]) => (
        <div class="row" key={key}>
          <TextField
            label={key}
            value={String(given ?? '')}
            onInput={text => onChange({ ...set, [key]: readValue(text, choices.types.get(key) ?? 'string') })}
          />
          <button type="button" onClick={() => remove(key)}>
            Remove {key}
          </button>
        </div>
      ))}
      <div class="row">
        <SelectField
          label="One more property"
          value={added}
          options={[['', 'choose one'], ...free]}
          onChange={setAdded}
        />
        <button
          type="button"
          disabled={!added}
          onClick={() => {
            onChange({ ...set, [added]: '' });
            setAdded('');
          }}
        >
          Add it
        </button>
      </div>
    </fieldset>
  );
}
