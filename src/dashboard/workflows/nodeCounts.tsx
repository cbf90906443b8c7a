import { linkTo } from '../router.ts';

/** How often contacts came to which outcome at a node; each is a link to who. */
export function NodeCounts(props: { workflowId: string; id: string; counts: Record<string, number> }) {
  const { workflowId, id, counts } = props;
  return (
    <section class="inspector" aria-labelledby="who">
      <h2 id="who">Who came to {id}</h2>
      {Object.keys(counts).length === 0 && <p class="faint">Nobody yet.</p>}
      <ul class="steps">
        {Object.entries(counts).map(([outcome, n]) => (
          <li key={outcome}>
            <a href={linkTo(['workflows', workflowId], { tab: 'runs', nodeId: id, outcome })}>
              {n} {outcome}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
