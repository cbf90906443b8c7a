import { useId, useLayoutEffect, useRef } from 'preact/hooks';
import { linkTo } from '../router.ts';
import { CheckField, SelectField, TextField } from '../ui.tsx';
import type { Choices } from './choices.ts';
import { FilterEditor } from './filterEditor.tsx';
import { addWay, changeNode, changeTrigger, explainStay, type Graph, type Node, removeNode } from './graph.ts';
import { type Field, findNodeType, TRIGGERS } from './nodeTypes.ts';
import { QueryEditor } from './queryEditor.tsx';
import { ValuesEditor } from './valuesEditor.tsx';

interface Props {
  graph: Graph;
  id: string;
  choices: Choices;
  problems: string[];
  change(graph: Graph): void;
  close(): void;
}

/** The fields of the chosen node. */
export function Inspector({ graph, id, choices, problems, change, close }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useLayoutEffect(() => heading.current?.focus({ preventScroll: true }), [id]);
  const node = graph.nodes[id];
  if (!node) return null;
  const type = findNodeType(node.typeName);
  const isRoot = id === graph.rootNodeId;
  const stays = explainStay(graph, id);
  return (
    <section class="inspector" aria-label="The chosen node">
      <h2 ref={heading} tabIndex={-1}>
        {type.title} <code class="faint">{id}</code>
      </h2>
      <p class="hint">{type.what}</p>
      {problems.map(each => (
        <p key={each} class="failure" role="alert">
          {each}
        </p>
      ))}
      {isRoot && (
        <SelectField
          label="What starts the workflow"
          value={node.typeName}
          options={Object.entries(TRIGGERS).map(([name, { title }]) => [name, title])}
          onChange={name => change(changeTrigger(graph, name, TRIGGERS[name]?.fresh ?? {}))}
        />
      )}
      {type.fields.map(field => (
        <NodeField
          key={`${node.typeName} ${field.kind} ${field.name}`}
          field={field}
          node={node}
          choices={choices}
          put={part => change(changeNode(graph, id, part))}
        />
      ))}
      <p class="row">
        {node.typeName === 'BranchNode' && (
          <button type="button" onClick={() => change(addWay(graph, id))}>
            Add a way
          </button>
        )}
        {stays === null && (
          <button
            type="button"
            class="bad"
            onClick={() => {
              change(removeNode(graph, id));
              close();
            }}
          >
            Remove this node
          </button>
        )}
        <button type="button" onClick={close}>
          Close
        </button>
      </p>
      {stays !== null && !isRoot && <p class="hint">{stays}</p>}
    </section>
  );
}

interface FieldProps {
  field: Field;
  node: Node;
  choices: Choices;
  put(part: Record<string, unknown>): void;
}

const UNITS: ['m' | 'h' | 'd', string][] = [
  ['m', 'minutes'],
  ['h', 'hours'],
  ['d', 'days'],
];

function NodeField({ field, node, choices, put }: FieldProps) {
  const { kind, label } = field;
  const value = field.name === null ? node : node[field.name];
  const name = field.name ?? '';
  const text = value === null || value === undefined ? '' : String(value);
  if (kind === 'filter')
    return (
      <FilterEditor
        label={label}
        value={value}
        choices={choices}
        onChange={next => put({ [name]: next ?? (name === 'filter' ? undefined : null) })}
      />
    );
  if (kind === 'query')
    return <QueryEditor label={label} value={value} choices={choices} onChange={next => put({ [name]: next })} />;
  if (kind === 'values')
    return (
      <ValuesEditor
        label={label}
        {...(field.hint !== undefined && { hint: field.hint })}
        value={value}
        choices={choices}
        onChange={next => put({ [name]: next })}
      />
    );
  if (kind === 'duration' || kind === 'offset')
    return (
      <DurationField
        label={label}
        value={value}
        onChange={next => put(field.name === null ? { ...next } : { [name]: next })}
      />
    );
  if (kind === 'check')
    return (
      <CheckField
        label={label}
        {...(field.hint !== undefined && { hint: field.hint })}
        value={value === true}
        onChange={next => put({ [name]: next })}
      />
    );
  if (kind === 'event')
    return (
      <EventField label={label} value={text} events={choices.events} onChange={next => put({ [name]: next || null })} />
    );
  if (kind === 'number' || kind === 'eventProperty')
    return <TextField label={label} value={text} onInput={next => put({ [name]: next || undefined })} />;
  return <ChoiceField {...{ field, choices, text, put, name }} />;
}

interface ChoiceProps {
  field: Field;
  choices: Choices;
  text: string;
  name: string;
  put(part: Record<string, unknown>): void;
}

function ChoiceField({ field, choices, text, name, put }: ChoiceProps) {
  const dates = choices.properties.filter(([key]) => choices.types.get(key) === 'date');
  const known: [string, string][] = field.kind === 'choice' ? field.options : [['', 'none']];
  if (field.kind === 'list') known.push(...choices.lists);
  if (field.kind === 'message') known.push(...choices.messages);
  if (field.kind === 'dateProperty') known.push(...dates);
  const options: [string, string][] = known.some(([value]) => value === text) ? known : [...known, [text, text]];
  return (
    <>
      <SelectField
        label={field.label}
        value={text}
        options={options}
        onChange={next => put({ [name]: next || (field.kind === 'dateProperty' ? undefined : null) })}
      />
      {field.kind === 'message' && (
        <p class="hint">
          {text && <a href={linkTo(['messages', text])}>Look at this message</a>} ·{' '}
          <a href={linkTo(['messages', 'add'])}>Write another one</a>
        </p>
      )}
    </>
  );
}

function EventField(props: { label: string; value: string; events: string[]; onChange(value: string): void }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <input
        id={id}
        list={`${id}-known`}
        value={props.value}
        autocomplete="off"
        onInput={event => props.onChange(event.currentTarget.value)}
      />
      <datalist id={`${id}-known`}>
        {props.events.map(each => (
          <option key={each} value={each} />
        ))}
      </datalist>
    </div>
  );
}

interface Duration {
  amount: number;
  unit: 'm' | 'h' | 'd';
}

function DurationField(props: { label: string; value: unknown; onChange(value: Duration): void }) {
  const { amount = 0, unit = 'd' } = (props.value ?? {}) as Partial<Duration>;
  return (
    <div class="row">
      <TextField
        label={props.label}
        type="number"
        value={String(amount)}
        onInput={text => props.onChange({ amount: Number(text), unit })}
      />
      <SelectField
        label="Unit"
        value={unit}
        options={UNITS}
        onChange={next => props.onChange({ amount, unit: next })}
      />
    </div>
  );
}
