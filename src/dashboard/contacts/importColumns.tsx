import { useId, useState } from 'preact/hooks';
import { Table } from '../shell/list.tsx';
import { SelectField } from '../ui.tsx';

/** Header → what it means; null passes it over; absent: by its name and values. */
export type Meanings = Record<string, string | null>;

const BY_NAME = 'by its name';
const SKIP = 'skip';
const PROPERTY = 'property';
const WORDS: [word: string, text: string][] = [
  [BY_NAME, 'what its name says'],
  [SKIP, 'pass it over'],
  ['email', 'address'],
  ['firstName', 'first name'],
  ['lastName', 'last name'],
  ['userId', 'your user id'],
  ['userGroup', 'user group'],
  ['source', 'source'],
  ['subscribed', 'subscribed: yes or no'],
  ['unsubscribed', 'opted out: yes or no'],
  ['optOutTime', 'opted out, where there is any value'],
  ['mailingLists', 'lists'],
  ['stripe', 'customer id at Stripe'],
  ['clerk', 'user id at Clerk'],
  ['supabase', 'user id at Supabase'],
  ['polar', 'customer id at Polar'],
  [PROPERTY, 'a property …'],
];

const readChoice = (meaning: string | null | undefined): string =>
  meaning === undefined ? BY_NAME : meaning === null ? SKIP : meaning;

/** A name for a property, from a header: `Company size` → companySize. */
function makeKey(header: string): string {
  const [first = 'property', ...rest] = header.split(/[^A-Za-z0-9]+/).filter(Boolean);
  return (
    first.charAt(0).toLowerCase() + first.slice(1) + rest.map(each => each[0]?.toUpperCase() + each.slice(1)).join('')
  );
}

interface Props {
  /** The header and the first rows. */
  rows: string[][];
  meanings: Meanings;
  set(meanings: Meanings): void;
}

/** Each column with its first values, and what it means. */
export function Columns({ rows: [header = [], ...examples], meanings, set }: Props) {
  const rows = header.map((name, at) => ({
    ...{ id: `${at}`, name },
    values: examples.flatMap(row => row[at] || []),
  }));
  // Not told from the meaning: on the way to emailVerified one types email.
  const [named, setNamed] = useState<string[]>([]);
  const change = (name: string, choice: string) => {
    setNamed([...named.filter(each => each !== name), ...(choice === PROPERTY ? [name] : [])]);
    const { [name]: _, ...others } = meanings;
    if (choice === BY_NAME) set(others);
    else set({ ...others, [name]: choice === SKIP ? null : choice === PROPERTY ? makeKey(name) : choice });
  };
  return (
    <Table
      rows={rows}
      columns={[
        { title: 'Column', show: each => each.name },
        { title: 'First values', show: each => each.values.join(' · ') || <span class="faint">none</span> },
        {
          title: 'Means',
          show: ({ name }) => (
            <>
              <SelectField
                label={`Meaning of ${name}`}
                value={named.includes(name) ? PROPERTY : readChoice(meanings[name])}
                options={WORDS}
                onChange={choice => change(name, choice)}
              />
              {named.includes(name) && (
                <PropertyName
                  header={name}
                  text={meanings[name] ?? ''}
                  set={text => set({ ...meanings, [name]: text })}
                />
              )}
            </>
          ),
        },
      ]}
    />
  );
}

function PropertyName({ header, text, set }: { header: string; text: string; set(text: string): void }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>Property for {header}</label>
      <input id={id} required value={text} onInput={event => set(event.currentTarget.value)} />
      <p class="hint">Such as planName, or with its type: seats:number</p>
    </div>
  );
}
