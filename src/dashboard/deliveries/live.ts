import { useEffect, useRef, useState } from 'preact/hooks';
import type { Delivery } from '../api.ts';

const MOST_ROWS = 50;
/** What the stream tells of a delivery. */
type LiveDelivery = Pick<Delivery, 'id' | 'endpointId' | 'provider' | 'type' | 'status' | 'message' | 'receivedAt'>;
interface Batch {
  added: LiveDelivery[];
  changed: LiveDelivery[];
  /** New ones that were left out because they were too many. */
  more: number;
}

interface Live {
  isOpen: boolean;
  isPaused: boolean;
  /** How many came since the pause, or were left out. */
  held: number;
  toggle(): void;
  /** The rows with what came since, newest first. */
  merge(rows: Delivery[], filters: Record<string, string>): Delivery[];
}

const matches = (row: LiveDelivery, { endpointId, status, type }: Record<string, string>): boolean =>
  (!endpointId || row.endpointId === endpointId) && (!status || row.status === status) && (!type || row.type === type);

/** The first page of the log with what arrives, by the server's stream. `isOn`: false where the list shows something else. */
export function useLiveDeliveries(isOn: boolean): Live {
  const [news, setNews] = useState<LiveDelivery[]>([]);
  const [isOpen, setOpen] = useState(false);
  const [isPaused, setPaused] = useState(false);
  const [held, setHeld] = useState(0);
  const waiting = useRef<LiveDelivery[]>([]);
  const paused = useRef(false);
  useEffect(() => {
    setNews([]);
    if (!isOn) return;
    const stream = new EventSource('../api/v1/stream');
    const take = (event: MessageEvent<string>) => {
      const { added, changed, more }: Batch = JSON.parse(event.data);
      const latest = [...added, ...changed];
      if (paused.current) {
        waiting.current = joinRows(waiting.current, latest);
        setHeld(count => count + added.length + more);
      } else {
        if (more) setHeld(count => count + more);
        setNews(before => joinRows(before, latest));
      }
    };
    stream.addEventListener('deliveries', take);
    stream.onopen = () => setOpen(true);
    stream.onerror = () => setOpen(false);
    return () => stream.close();
  }, [isOn]);
  return {
    ...{ isOpen, isPaused, held },
    toggle() {
      paused.current = !isPaused;
      setPaused(!isPaused);
      setHeld(0);
      setNews(before => joinRows(before, waiting.current));
      waiting.current = [];
    },
    merge(rows, filters) {
      const byId = new Map<string, Delivery>(rows.map(row => [row.id, row]));
      for (const row of news) {
        const known = byId.get(row.id);
        if (known) byId.set(row.id, { ...known, ...row });
        else if (matches(row, filters) && isNewer(row, rows)) byId.set(row.id, makeRow(row));
      }
      const merged = [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1));
      return merged.slice(0, Math.max(rows.length, MOST_ROWS));
    },
  };
}

/** A change of an older one belongs to a page behind this one. */
const isNewer = (row: LiveDelivery, rows: Delivery[]): boolean => row.id > (rows.at(-1)?.id ?? '');

/** The latest word on each, the newest of them. */
function joinRows(before: LiveDelivery[], latest: LiveDelivery[]): LiveDelivery[] {
  const byId = new Map([...before, ...latest].map(row => [row.id, row]));
  return [...byId.values()].sort((a, b) => (a.id < b.id ? 1 : -1)).slice(0, MOST_ROWS);
}

/** What the list shows of a row; the rest is looked up by who opens it. */
function makeRow(row: LiveDelivery): Delivery {
  const unknown = {
    ...{ externalId: null, occurredAt: null, processedAt: null, attempts: 0, duplicates: 0, contactId: null },
    ...{ effects: [], secretId: null, response: { status: 200 }, error: null, payload: null, headers: {} },
  };
  return { ...unknown, ...row };
}
