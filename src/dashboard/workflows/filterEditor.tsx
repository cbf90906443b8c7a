import { SelectField, TextField } from '../ui.tsx';
import type { Choices } from './choices.ts';

type Value = string | number | boolean;
interface Condition {
  type: 'property' | 'eventProperty' | 'list';
  key?: string;
  operator?: string;
  value?: unknown;
  listId?: string;
  negate?: boolean;
}
interface Filter {
  match: 'all' | 'any';
  conditions: Condition[];
}

const BY_TYPE: Record<string, [string, string][]> = {
  string: [
    ['equals', 'is'],
    ['notEquals', 'is not'],
    ['contains', 'contains'],
    ['notContains', 'does not contain'],
    ['empty', 'is empty'],
    ['notEmpty', 'is not empty'],
  ],
  number: [
    ['equals', 'is'],
    ['notEquals', 'is not'],
    ['greaterThan', 'is more than'],
    ['lessThan', 'is less than'],
    ['empty', 'is empty'],
    ['notEmpty', 'is not empty'],
  ],
  boolean: [
    ['isTrue', 'is true'],
    ['isFalse', 'is false'],
    ['empty', 'is empty'],
    ['notEmpty', 'is not empty'],
  ],
  date: [
    ['after', 'is after'],
    ['before', 'is before'],
    ['dateEmpty', 'is empty'],
    ['dateNotEmpty', 'is not empty'],
  ],
};
const ALL = [...new Map(Object.values(BY_TYPE).flat())];
const VALUELESS = ['any', 'isTrue', 'isFalse', 'empty', 'notEmpty', 'dateEmpty', 'dateNotEmpty'];

/** Text as the value that an operator and a property's type want. */
export function readValue(text: string, type: string | undefined, operator = ''): Value {
  if (type === 'boolean') return text === 'true';
  const wantsNumber = type === 'number' || operator === 'greaterThan' || operator === 'lessThan';
  const isNumber = /^-?\d+(\.\d+)?$/.test(text.trim());
  return isNumber && (wantsNumber || type === undefined) ? Number(text) : text;
}

interface Props {
  label: string;
  value: unknown;
  choices: Choices;
  onChange(value: Filter | null): void;
}

/** Conditions of a filter, one a row. */
export function FilterEditor({ label, value, choices, onChange }: Props) {
  const filter = (value ?? { match: 'all', conditions: [] }) as Filter;
  const put = (conditions: Condition[]) => onChange(conditions.length ? { ...filter, conditions } : null);
  const change = (at: number, next: Condition) => put(filter.conditions.map((each, i) => (i === at ? next : each)));
  return (
    <fieldset>
      <legend>{label}</legend>
      {filter.conditions.length > 1 && (
        <SelectField
          label="Who fulfils"
          value={filter.match}
          options={[
            ['all', 'all of these'],
            ['any', 'any of these'],
          ]}
          onChange={match => onChange({ ...filter, match })}
        />
      )}
      {filter.conditions.map((condition, at) => (
        <div class="condition" key={at}>
          <OneCondition condition={condition} choices={choices} change={next => change(at, next)} />
          <button type="button" onClick={() => put(filter.conditions.filter((_, i) => i !== at))}>
            Remove the condition
          </button>
        </div>
      ))}
      <button
        type="button"
        onClick={() =>
          put([...filter.conditions, { type: 'property', key: 'userGroup', operator: 'equals', value: '' }])
        }
      >
        Add a condition
      </button>
    </fieldset>
  );
}

const KINDS: [Condition['type'], string][] = [
  ['property', 'a property of the contact'],
  ['eventProperty', 'a property of the event'],
  ['list', 'a list'],
];
const FRESH: Record<Condition['type'], Condition> = {
  property: { type: 'property', key: 'userGroup', operator: 'equals', value: '' },
  eventProperty: { type: 'eventProperty', key: '', operator: 'equals', value: '' },
  list: { type: 'list', listId: '', negate: false },
};

interface OneProps {
  condition: Condition;
  choices: Choices;
  change(next: Condition): void;
}

function OneCondition({ condition, choices, change }: OneProps) {
  return (
    <>
      <SelectField label="Compares" value={condition.type} options={KINDS} onChange={type => change(FRESH[type])} />
      {condition.type === 'list' ? (
        <ListCondition condition={condition} choices={choices} change={change} />
      ) : (
        <Comparison condition={condition} choices={choices} change={change} />
      )}
    </>
  );
}

function ListCondition({ condition, choices, change }: OneProps) {
  return (
    <>
      <SelectField
        label="List"
        value={condition.listId ?? ''}
        options={[['', 'choose one'], ...choices.lists]}
        onChange={listId => change({ ...condition, listId })}
      />
      <SelectField
        label="Membership"
        value={condition.negate ? 'not' : 'on'}
        options={[
          ['on', 'is on it'],
          ['not', 'is not on it'],
        ]}
        onChange={way => change({ ...condition, negate: way === 'not' })}
      />
    </>
  );
}

function Comparison({ condition, choices, change }: OneProps) {
  const { type, key = '', operator = 'equals', value } = condition;
  const propertyType = type === 'property' ? choices.types.get(key) : undefined;
  const put = (part: Partial<Condition>) => {
    const { value: before, ...next } = { ...condition, ...part };
    change(VALUELESS.includes(next.operator ?? '') ? next : { ...next, value: before ?? '' });
  };
  return (
    <>
      {type === 'property' ? (
        <SelectField label="Property" value={key} options={choices.properties} onChange={next => put({ key: next })} />
      ) : (
        <TextField label="Property of the event" value={key} onInput={next => put({ key: next })} />
      )}
      <SelectField
        label="Comparison"
        value={operator}
        options={(propertyType && BY_TYPE[propertyType]) || ALL}
        onChange={next => put({ operator: next })}
      />
      {!VALUELESS.includes(operator) && (
        <TextField
          label="Value"
          value={String(value ?? '')}
          onInput={text => put({ value: readValue(text, propertyType, operator) })}
        />
      )}
    </>
  );
}
