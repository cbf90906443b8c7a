import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { appendQuery, callApi, type Page } from '../api.ts';
import { linkTo, place, visit } from '../router.ts';
import { Empty, Screen, SelectField, Show, TextField, useLoaded } from '../ui.tsx';

/** What a list can be narrowed by: a choice where there are options, else a text. `name` is the API's and the address's. */
export interface Filter {
  name: string;
  label: string;
  options?: [value: string, text: string][];
}

export interface Column<T> {
  title: string;
  show(row: T): ComponentChildren;
}

interface ListProps<T> {
  /** Where it stands in the page; its filters stand behind, so that the address can be shared. */
  at: string[];
  /** Where its rows come from, with what always holds. */
  api: string;
  fixed?: Record<string, string>;
  filters?: Filter[];
  /** Filters of the address that have no field, such as `contactId`. */
  hidden?: string[];
  /** Parameters of the address that are not this list's, and stay. */
  kept?: string[];
  columns: Column<T>[];
  /** What to do next where there is nothing yet. */
  empty: ComponentChildren;
  /** Said where the filters leave nothing. */
  noMatch?: string;
  /** Above the rows: of what is shown. */
  children?: (page: Shown<T>) => ComponentChildren;
  perPage?: number;
  /** What is shown of the rows of a page, by the filters that hold. */
  revise?: (rows: T[], filters: Record<string, string>) => T[];
}

interface Shown<T> {
  page: Page<T> | undefined;
  reload(): Promise<void>;
}

function readQuery(names: string[]): Record<string, string> {
  const { query } = place.value;
  return Object.fromEntries(names.flatMap(name => (query.get(name) ? [[name, query.get(name) ?? '']] : [])));
}

/** Rows of the API, newest first, with filters that the address holds and the way to older ones. */
export function List<T extends { id: string }>(props: ListProps<T>) {
  const { at, api, fixed = {}, filters = [], hidden = [], kept = [], columns, children } = props;
  const given = readQuery([...filters.map(each => each.name), ...hidden, 'cursor']);
  const rest = readQuery(kept);
  const path = appendQuery(api, { ...fixed, ...given, perPage: String(props.perPage ?? 25) });
  const rows = useLoaded(path, () => callApi<Page<T>>('GET', path));
  const isNarrowed = Object.keys(given).some(name => name !== 'cursor');
  return (
    <>
      {filters.length > 0 && <FilterForm at={at} filters={filters} given={given} rest={rest} />}
      {children?.({ page: rows.data, reload: rows.reload })}
      <Show of={rows}>
        {loaded => {
          const page = { ...loaded, data: props.revise?.(loaded.data, given) ?? loaded.data };
          return page.data.length ? (
            <>
              <Table rows={page.data} columns={columns} />
              <Pager at={at} query={{ ...rest, ...given }} page={page} />
            </>
          ) : isNarrowed ? (
            <Empty>
              {props.noMatch ?? 'Nothing matches.'} <a href={linkTo(at, rest)}>Show all</a>.
            </Empty>
          ) : (
            <Empty>{props.empty}</Empty>
          );
        }}
      </Show>
    </>
  );
}

/** A screen that is a list. */
export function ListScreen<T extends { id: string }>(
  props: ListProps<T> & { title: string; actions?: ComponentChildren; above?: ComponentChildren },
) {
  return (
    <Screen title={props.title} actions={props.actions}>
      {props.above}
      <List {...props} />
    </Screen>
  );
}

interface FormProps {
  at: string[];
  filters: Filter[];
  given: Record<string, string>;
  rest: Record<string, string>;
}

/** Choices count at once, texts when they are sent. */
function FilterForm({ at, filters, given, rest }: FormProps) {
  const known = JSON.stringify(given);
  const [texts, setTexts] = useState(given);
  useEffect(() => setTexts(given), [known]);
  const narrow = (part: Record<string, string>) =>
    visit(linkTo(at, { ...rest, ...given, ...texts, ...part, cursor: null }));
  return (
    <form
      class="filters"
      aria-label="Filters"
      onSubmit={event => {
        event.preventDefault();
        narrow({});
      }}
    >
      {filters.map(({ name, label, options }) =>
        options ? (
          <SelectField
            key={name}
            label={label}
            value={given[name] ?? ''}
            options={[['', 'all'], ...options]}
            onChange={value => narrow({ [name]: value })}
          />
        ) : (
          <TextField
            key={name}
            label={label}
            value={texts[name] ?? ''}
            onInput={text => setTexts({ ...texts, [name]: text })}
          />
        ),
      )}
      {filters.some(each => !each.options) && <button type="submit">Search</button>}
    </form>
  );
}

export function Table<T extends { id: string }>({ rows, columns }: { rows: T[]; columns: Column<T>[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls where it is too wide, also by keyboard
    <section class="wide" tabIndex={0} aria-label="Table">
      <table>
        <thead>
          <tr>
            {columns.map(({ title }) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(row => (
            <tr key={row.id}>
              {columns.map(({ title, show }) => (
                <td key={title}>{show(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** How many there are, and the way to older ones. */
function Pager(props: { at: string[]; query: Record<string, string>; page: Page<unknown> }) {
  const { at, query, page } = props;
  const { totalResults, totalIsCapped, nextCursor } = page.pagination;
  return (
    <nav class="pager" aria-label="Pages">
      <span class="faint">
        {page.data.length} of {totalIsCapped ? `more than ${totalResults}` : totalResults}
      </span>
      {query.cursor && <a href={linkTo(at, { ...query, cursor: null })}>Newest</a>}
      {nextCursor && <a href={linkTo(at, { ...query, cursor: nextCursor })}>Older</a>}
    </nav>
  );
}
