const NOT_OURS = 'not part of Inlet';
const NODES = '/workflows/[^/]+/nodes';

/** What Loops' API has and Inlet does not, as paths below `/api/v1`, and what to do instead. The first that matches counts. */
const NOT_OFFERED: [string, string][] = [
  [`${NODES}/[^/]+/metrics`, 'The metrics of one node are not offered. Use GET /workflows/{id}/counts.'],
  [`${NODES}(/.*)?`, "Nodes can't be changed one by one. Use PUT /workflows/{id}/graph with the whole graph."],
  ['/email-messages/[^/]+/guardian', 'There is no guardian. Use POST /email-messages/{id}/render to see what is sent.'],
  ['/transactional-emails/[^/]+/metrics', 'Metrics of mails are not offered. Use GET /mails.'],
  ['/audience-segments(/.*)?', `Segments are ${NOT_OURS}. Use lists, or AudienceFilter nodes in a workflow.`],
  ['/themes(/.*)?', `Themes are ${NOT_OURS}. Style the html of POST /email-messages/{id}.`],
  ['/components(/.*)?', `Components are ${NOT_OURS}. Put the whole html into POST /email-messages/{id}.`],
  ['/campaigns(/.*)?', `Campaigns are ${NOT_OURS}. Use a workflow that begins with an AddToListTrigger or an event.`],
  ['/(campaign|transactional)-groups(/.*)?', `Groups are ${NOT_OURS}. Tell things apart by their names.`],
  ['/uploads(/.*)?', `Uploads are ${NOT_OURS}. Host the image and link to it in the html.`],
];
const patterns = NOT_OFFERED.map(([path, instead]) => [new RegExp(`^/api/v1${path}$`), instead] as const);

/** One sentence or two for a call that only Loops answers; undefined for any other path. */
export const explainNotOffered = (path: string): string | undefined =>
  patterns.find(([pattern]) => pattern.test(path))?.[1];
