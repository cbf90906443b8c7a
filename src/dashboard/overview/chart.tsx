import { type Bar, OUTCOMES } from './stats.ts';

const SIZE = { width: 1100, height: 200 };
const MARGIN = { left: 44, bottom: 22, top: 8 };

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'short' });

/** A round number that is not below: 1, 2 or 5 with noughts. */
function roundUp(most: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, most)));
  return [1, 2, 5, 10].map(each => each * power).find(each => each >= most) ?? most;
}

/** Webhooks by outcome over time, one bar a slot. What it shows stands in the table beside it too. */
export function Chart({ bars, isByDay }: { bars: Bar[]; isByDay: boolean }) {
  const totals = bars.map(bar => OUTCOMES.reduce((sum, outcome) => sum + bar[outcome], 0));
  const top = roundUp(Math.max(1, ...totals));
  const inner = { width: SIZE.width - MARGIN.left, height: SIZE.height - MARGIN.bottom - MARGIN.top };
  const step = inner.width / Math.max(1, bars.length);
  const toY = (value: number) => MARGIN.top + inner.height * (1 - value / top);
  const name = (at: string) => (isByDay ? day : clock).format(new Date(at));
  const all = totals.reduce((sum, each) => sum + each, 0);
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${SIZE.width} ${SIZE.height}`} role="img" aria-label={`${all} webhooks over time, by outcome`}>
        {[0, top / 2, top].map(value => (
          <g key={value}>
            <line class="grid" x1={MARGIN.left} x2={SIZE.width} y1={toY(value)} y2={toY(value)} />
            <text class="axis" x={MARGIN.left - 6} y={toY(value) + 4} text-anchor="end">
              {Number.isInteger(value) ? value : ''}
            </text>
          </g>
        ))}
        {bars.map((bar, at) => {
          let below = 0;
          return (
            <g key={bar.at}>
              <title>
                {`${new Date(bar.at).toLocaleString()} (${bar.at}): ${OUTCOMES.map(outcome => `${bar[outcome]} ${outcome}`).join(', ')}`}
              </title>
              {OUTCOMES.map(outcome => {
                const from = below;
                below += bar[outcome];
                const height = toY(from) - toY(below);
                return height === 0 ? null : (
                  <rect
                    key={outcome}
                    class={outcome}
                    x={MARGIN.left + at * step + step * 0.1}
                    y={toY(below)}
                    width={step * 0.8}
                    height={height}
                  />
                );
              })}
            </g>
          );
        })}
        {bars.length > 0 &&
          [0, Math.floor(bars.length / 2), bars.length - 1].map(at => (
            <text
              key={at}
              class="axis"
              x={MARGIN.left + (at + 0.5) * step}
              y={SIZE.height - 6}
              text-anchor={at === 0 ? 'start' : at === bars.length - 1 ? 'end' : 'middle'}
            >
              {name(bars[at]?.at ?? '')}
            </text>
          ))}
      </svg>
      <figcaption class="legend">
        {OUTCOMES.map(outcome => (
          <span key={outcome}>
            <svg width="12" height="12" aria-hidden="true">
              <rect class={outcome} width="12" height="12" />
            </svg>{' '}
            {outcome}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}
