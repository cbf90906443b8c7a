import { SelectField, TextField } from '../ui.tsx';
import type { Choices } from './choices.ts';
import { readValue } from './filterEditor.tsx';

interface Side {
  operator: string;
  value?: unknown;
}
interface Query {
  key: string;
  was: Side;
  is: Side;
}

/** Operators of a change, by the property's type; those without a value are marked below. */
const OPERATORS: Record<string, [string, string][]> = {
  string: [
    ['any', 'anything'],
    ['equal', 'this text'],
    ['not_equal', 'another text than'],
    ['contains', 'a text with'],
    ['not_contains', 'a text without'],
    ['empty', 'nothing'],
    ['not_empty', 'something'],
  ],
  number: [
    ['any', 'anything'],
    ['numeric_equal', 'this number'],
    ['numeric_not_equal', 'another number than'],
    ['greater_than', 'more than'],
    ['less_than', 'less than'],
    ['empty', 'nothing'],
    ['not_empty', 'something'],
  ],
  boolean: [
    ['any', 'anything'],
    ['true', 'true'],
    ['false', 'false'],
    ['empty', 'nothing'],
    ['not_empty', 'something'],
  ],
  date: [
    ['any', 'anything'],
    ['after', 'after'],
    ['before', 'before'],
    ['empty', 'nothing'],
    ['not_empty', 'something'],
  ],
};
const VALUELESS = ['any', 'empty', 'not_empty', 'true', 'false'];
const ANYTHING: Side = { operator: 'any' };

interface Props {
  label: string;
  value: unknown;
  choices: Choices;
  onChange(value: Query | null): void;
}

/** From what to what a property changes. */
export function QueryEditor({ label, value, choices, onChange }: Props) {
  const query = value as Query | null;
  const type = choices.types.get(query?.key ?? '') ?? 'string';
  return (
    <fieldset>
      <legend>{label}</legend>
      <SelectField
        label="Property"
        value={query?.key ?? ''}
        options={[['', 'choose one'], ...choices.properties]}
        onChange={key => onChange(key ? { key, was: ANYTHING, is: ANYTHING } : null)}
      />
      {query && (
        <>
          <OneSide label="It was" side={query.was} type={type} onChange={was => onChange({ ...query, was })} />
          <OneSide label="It is now" side={query.is} type={type} onChange={is => onChange({ ...query, is })} />
        </>
      )}
    </fieldset>
  );
}

function OneSide(props: { label: string; side: Side; type: string; onChange(side: Side): void }) {
  const { label, side, type, onChange } = props;
  return (
    <div class="row">
      <SelectField
        label={label}
        value={side.operator}
        options={OPERATORS[type] ?? []}
        onChange={operator =>
          onChange(VALUELESS.includes(operator) ? { operator } : { operator, value: side.value ?? '' })
        }
      />
      {!VALUELESS.includes(side.operator) && (
        <TextField
          label="Value"
          value={String(side.value ?? '')}
          onInput={text => onChange({ ...side, value: readValue(text, type) })}
        />
      )}
    </div>
  );
}
