import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { Edge, Graph } from './graph.ts';
import { BOX, layOutGraph } from './layOut.ts';
import type { Names } from './nodeTypes.ts';
import { findNodeType, STEPS } from './nodeTypes.ts';

interface Props {
  graph: Graph;
  names: Names;
  chosen: string | null;
  /** How often each node came to what outcome. */
  counts: Record<string, Record<string, number>>;
  problems: Map<string, string[]>;
  /** The nodes on the way of a dry run. */
  way: ReadonlySet<string>;
  choose(id: string): void;
  /** Absent: the graph is only looked at. */
  insert?: ((edge: Edge, typeName: string) => void) | undefined;
}

/** A workflow from the top down: nodes as boxes, what leads where as lines with a place to insert on each. It scrolls, and is dragged by its ground. */
export function Canvas(props: Props) {
  const { graph, insert } = props;
  const plan = useMemo(() => layOutGraph(graph), [graph]);
  const [asked, setAsked] = useState<Edge | null>(null);
  const drag = useDrag();
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard
    <section class="canvas" tabIndex={0} aria-label="The workflow" {...drag}>
      <div class="plan" style={{ width: `${plan.width}px`, height: `${plan.height}px` }}>
        <svg width={plan.width} height={plan.height} aria-hidden="true">
          {plan.lines.map(({ from, index, to, path }) => (
            <path
              key={`${from} ${index}`}
              d={path}
              class={props.way.has(from) && props.way.has(to) ? 'line way' : 'line'}
            />
          ))}
        </svg>
        {plan.spots.map(({ id, x, y }) => (
          <Box key={id} {...props} id={id} x={x} y={y} />
        ))}
        {plan.lines.map(({ from, index, to, x, y, x1, y1 }) => {
          const node = graph.nodes[from];
          const name = node && findNodeType(node.typeName).ways?.[index];
          const isFree = insert && node?.typeName !== 'BranchNode'; // right behind a branch stand filters only
          const isAsked = asked?.from === from && asked.index === index;
          return (
            <div key={`${from} ${index}`}>
              {name && (
                <span class={index === 0 ? 'way-name first' : 'way-name'} style={{ left: `${x1}px`, top: `${y1}px` }}>
                  {name}
                </span>
              )}
              {isFree && (
                <button
                  type="button"
                  id={`insert-${from}-${index}`}
                  class="insert"
                  style={{ left: `${x}px`, top: `${y}px` }}
                  aria-label={`Insert between ${from} and ${to}${name ? ` (${name})` : ''}`}
                  aria-expanded={isAsked}
                  onClick={() => setAsked(isAsked ? null : { from, index })}
                >
                  +
                </button>
              )}
              {isFree && isAsked && (
                <Menu
                  x={x}
                  y={y}
                  close={() => {
                    setAsked(null);
                    document.getElementById(`insert-${from}-${index}`)?.focus();
                  }}
                  choose={typeName => {
                    setAsked(null);
                    insert({ from, index }, typeName);
                  }}
                />
              )}
            </div>
          );
        })}
      </div>
    </section>
  );
}

/** Left button on the ground and a movement: scrolls. */
function useDrag() {
  const from = useRef<{ x: number; y: number } | null>(null);
  type Pointer = {
    currentTarget: HTMLElement;
    target: EventTarget | null;
    clientX: number;
    clientY: number;
    pointerId: number;
  };
  return {
    onPointerDown: (event: Pointer) => {
      if (event.target instanceof Element && event.target.closest('button, a, select, input')) return;
      const { scrollLeft, scrollTop } = event.currentTarget;
      from.current = { x: event.clientX + scrollLeft, y: event.clientY + scrollTop };
      event.currentTarget.setPointerCapture(event.pointerId);
    },
    onPointerMove: (event: Pointer) => {
      if (!from.current) return;
      event.currentTarget.scrollLeft = from.current.x - event.clientX;
      event.currentTarget.scrollTop = from.current.y - event.clientY;
    },
    onPointerUp: () => {
      from.current = null;
    },
    onPointerCancel: () => {
      from.current = null;
    },
  };
}

function Box({
  graph,
  names,
  chosen,
  counts,
  problems,
  way,
  choose,
  id,
  x,
  y,
}: Props & { id: string; x: number; y: number }) {
  const node = graph.nodes[id];
  if (!node) return null;
  const type = findNodeType(node.typeName);
  const wrong = problems.get(id);
  const waiting = counts[id]?.waiting ?? 0;
  const passed = Object.entries(counts[id] ?? {}).reduce((sum, [, n]) => sum + n, 0);
  const kinds = [
    'box',
    id === graph.rootNodeId && 'trigger',
    wrong && 'wrong',
    way.has(id) && 'way',
    chosen === id && 'chosen',
  ];
  return (
    <button
      type="button"
      id={`node-${id}`}
      class={kinds.filter(Boolean).join(' ')}
      style={{ left: `${x}px`, top: `${y}px`, width: `${BOX.width}px`, height: `${BOX.height}px` }}
      aria-pressed={chosen === id}
      onClick={() => choose(id)}
    >
      <strong>{type.title}</strong>
      <span>{type.summarize(node, names)}</span>
      <small>
        {wrong ? '⚠ look here' : waiting > 0 ? `${waiting} wait here` : passed > 0 ? `${passed} came by` : ''}
      </small>
    </button>
  );
}

interface MenuProps {
  x: number;
  y: number;
  choose(typeName: string): void;
  close(): void;
}

function Menu({ x, y, choose, close }: MenuProps) {
  const menu = useRef<HTMLDivElement>(null);
  // Before anything is shown: a key that is pressed at once must not meet a focus that moves.
  useLayoutEffect(() => menu.current?.querySelector('button')?.focus(), []);
  return (
    <div
      class="menu"
      role="menu"
      tabIndex={-1}
      aria-label="What to insert"
      style={{ left: `${x}px`, top: `${y + 18}px` }}
      ref={menu}
      onKeyDown={event => {
        if (event.key === 'Escape') close();
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (!step) return;
        event.preventDefault(); // the canvas would scroll
        const items = [...event.currentTarget.querySelectorAll('button')];
        const at = items.indexOf(document.activeElement as HTMLButtonElement);
        items[(at + step + items.length) % items.length]?.focus();
      }}
    >
      {Object.entries(STEPS).map(([typeName, { title, what }]) => (
        <button key={typeName} type="button" role="menuitem" title={what} onClick={() => choose(typeName)}>
          {title}
        </button>
      ))}
    </div>
  );
}
