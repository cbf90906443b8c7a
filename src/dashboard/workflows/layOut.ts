import type { Graph } from './graph.ts';

export const BOX = { width: 230, height: 76 };
const GAP = { x: 36, y: 74 };
const EDGE = 24; // around the whole

interface Spot {
  id: string;
  x: number;
  y: number;
}
interface Line {
  from: string;
  index: number;
  to: string;
  /** Of an SVG path. */
  path: string;
  /** Where it begins. */
  x1: number;
  y1: number;
  /** The middle, where a node can be inserted. */
  x: number;
  y: number;
}
interface Plan {
  spots: Spot[];
  lines: Line[];
  width: number;
  height: number;
}

/** How deep each node stands: as deep as the longest way to it. Ways that lead back are not followed. */
function measureDepths(graph: Graph): Map<string, number> {
  const depths = new Map<string, number>();
  const open = new Set<string>();
  const visit = (id: string, depth: number) => {
    if (open.has(id) || !graph.nodes[id] || (depths.get(id) ?? -1) >= depth) return;
    depths.set(id, depth);
    open.add(id);
    for (const next of graph.nodes[id].nextNodeIds) visit(next, depth + 1);
    open.delete(id);
  };
  visit(graph.rootNodeId, 0);
  return depths;
}

/** Places a graph from the top down: each node above the middle of what it leads to, branches side by side. */
export function layOutGraph(graph: Graph): Plan {
  const depths = measureDepths(graph);
  const columns = new Map<string, number>();
  let free = 0;
  const place = (id: string): number => {
    columns.set(id, free); // so that a way back ends here
    const own = [...new Set(graph.nodes[id]?.nextNodeIds)].filter(next => depths.has(next) && !columns.has(next));
    const under = own.flatMap(next => (columns.has(next) ? [] : [place(next)]));
    const column = under.length ? ((under[0] ?? 0) + (under.at(-1) ?? 0)) / 2 : free++;
    columns.set(id, column);
    return column;
  };
  place(graph.rootNodeId);
  const at = (id: string) => ({
    x: EDGE + (columns.get(id) ?? 0) * (BOX.width + GAP.x),
    y: EDGE + (depths.get(id) ?? 0) * (BOX.height + GAP.y),
  });
  const spots = [...depths.keys()].map(id => ({ id, ...at(id) }));
  const lines = spots.flatMap(({ id, x, y }) => {
    const next = (graph.nodes[id]?.nextNodeIds ?? [])
      .map((to, index) => ({ to, index }))
      .filter(each => depths.has(each.to));
    return next.map(({ to, index }) => {
      const share = (index + 1) / (next.length + 1);
      const end = at(to);
      const isTwin = next.filter(each => each.to === to).length > 1;
      const start: [number, number] = [x + BOX.width * share, y + BOX.height];
      return drawLine(id, index, to, start, [end.x + BOX.width * (isTwin ? share : 0.5), end.y]);
    });
  });
  const right = Math.max(...spots.map(each => each.x)) + BOX.width;
  const bottom = Math.max(...spots.map(each => each.y)) + BOX.height;
  return { spots, lines, width: right + EDGE, height: bottom + EDGE };
}

/** Straight down from a node, where nothing else stands, and across in the gap above the next. */
function drawLine(from: string, index: number, to: string, start: [number, number], end: [number, number]): Line {
  const [x1, y1] = start;
  const [x2, y2] = end;
  const turn = Math.max(y1, y2 - GAP.y);
  const path = `M ${x1} ${y1} L ${x1} ${turn} C ${x1} ${turn + GAP.y * 0.6} ${x2} ${y2 - GAP.y * 0.6} ${x2} ${y2}`;
  const isLong = turn > y1;
  return { ...{ from, index, to, path, x1, y1 }, x: isLong ? x1 : (x1 + x2) / 2, y: y1 + GAP.y / 2 };
}
