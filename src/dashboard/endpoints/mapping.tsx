import { useId, useState } from 'preact/hooks';
import { SelectField } from '../ui.tsx';

/** A mapping as rows, so that a name can be typed before it is whole. */
export type Row = [key: string, path: string];

/** A path of a payload that leads to a scalar, and what stood there. */
export interface SamplePath {
  path: string;
  type: string;
  example: string | number | boolean | null;
  /** It is never stored. */
  withheld: boolean;
}

interface Props {
  legend: string;
  rows: Row[];
  paths: SamplePath[];
  isReal: boolean;
  change(rows: Row[]): void;
}

/** Properties and where in the payload they come from; picked from the fields of the last one, or typed. */
export function Mapping({ legend, rows, paths, isReal, change }: Props) {
  const listId = useId();
  const [picked, setPicked] = useState('');
  const free = paths.filter(each => !each.withheld);
  const put = (at: number, row: Row) => change(rows.map((each, i) => (i === at ? row : each)));
  const add = () => {
    const words = picked.split('.').filter(part => !/^\d+$/.test(part));
    change([...rows, [words.at(-1) ?? '', picked]]);
    setPicked('');
  };
  return (
    <fieldset>
      <legend>{legend}</legend>
      <p class="hint">
        {isReal
          ? 'The fields are those of the newest payload of this type.'
          : free.length
            ? 'Nothing of this type came yet: the fields are those of the provider’s sample.'
            : 'Once a webhook of this type came, its fields are offered here.'}
      </p>
      <datalist id={listId}>
        {free.map(({ path }) => (
          <option key={path} value={path} />
        ))}
      </datalist>
      {rows.map(([name, path], at) => (
        <div class="row" key={at}>
          <input
            aria-label="Property"
            placeholder="plan"
            value={name}
            onInput={event => put(at, [event.currentTarget.value, path])}
          />
          <span aria-hidden="true">←</span>
          <input
            aria-label={`Path in the payload for ${name || 'the property'}`}
            placeholder="data.object.metadata.plan"
            list={listId}
            value={path}
            onInput={event => put(at, [name, event.currentTarget.value])}
          />
          <button type="button" onClick={() => change(rows.filter((_, i) => i !== at))}>
            Remove {name || 'it'}
          </button>
        </div>
      ))}
      <div class="row">
        {free.length > 0 && (
          <>
            <SelectField
              label="Pick a field"
              value={picked}
              options={[
                ['', 'choose one'],
                ...free.map((each): [string, string] => [
                  each.path,
                  `${each.path}: ${String(each.example).slice(0, 40)}`,
                ]),
              ]}
              onChange={setPicked}
            />
            <button type="button" disabled={!picked} onClick={add}>
              Map this field
            </button>
          </>
        )}
        <button type="button" onClick={() => change([...rows, ['', '']])}>
          Add a property
        </button>
      </div>
    </fieldset>
  );
}
