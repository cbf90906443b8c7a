import type { Page } from '../api.ts';
import { linkTo } from '../router.ts';

/** The filters that the address holds. */
export function readFilters(query: URLSearchParams, names: string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap(name => (query.get(name) ? [[name, query.get(name) ?? '']] : [])));
}

interface Props {
  screen: string;
  filters: Record<string, string>;
  page: Page<unknown>;
}

/** How many there are, and the way to older ones. */
export function Pager({ screen, filters, page: { pagination, data } }: Props) {
  const { totalResults, totalIsCapped, nextCursor } = pagination;
  return (
    <nav class="pager" aria-label="Pages">
      <span class="faint">
        {data.length} of {totalIsCapped ? `more than ${totalResults}` : totalResults}
      </span>
      {filters.cursor && <a href={linkTo([screen], { ...filters, cursor: null })}>Newest</a>}
      {nextCursor && <a href={linkTo([screen], { ...filters, cursor: nextCursor })}>Older</a>}
    </nav>
  );
}
