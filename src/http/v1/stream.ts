import { z } from 'zod';
import { KEY_ID, SESSION_ID } from '../callers.ts';
import { type Route, route } from '../route.ts';

const EXAMPLE = `id: dlv_0mwt0c8w00001f6g7h8j9k0l
event: deliveries
data: {"added":[{"id":"dlv_0mwt0c8w00001f6g7h8j9k0l","status":"processed","message":"Created contact ada@example.com"}],"changed":[],"more":0}

`;

/** Opens a stream for a caller. */
export type OpenStream = (request: Request, caller: string) => Promise<Response>;

export const makeStreamRoutes = (open: OpenStream): Route[] => [
  route('GET', '/api/v1/stream', {
    summary: 'The live log, as server-sent events',
    description:
      'Event `deliveries`, at most four a second: `{"added":[…],"changed":[…],"more":n}` with id, endpointId, provider, type, status, message, contactId, receivedAt, processedAt, attempts and duplicates of each; `more` tells how many new ones were left out. Event `health`: storeTrouble, mailTrouble, clockSkewSeconds, backlog. A comment comes every 15 seconds. Say `Last-Event-ID` to be told first what came since (up to 500). Ends with its key or session; at most 200 are open.',
    tag: 'Deliveries',
    stream: true,
    response: z.string().describe('text/event-stream'),
    answer: EXAMPLE,
    handle: ({ request }) => {
      const { headers } = request;
      return open(request, `${headers.get(KEY_ID)} ${headers.get(SESSION_ID)}`);
    },
  }),
];
