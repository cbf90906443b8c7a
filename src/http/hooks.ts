import type { Context } from '../context.ts';
import { StoreUnavailable } from '../db/store.ts';
import { receive } from '../inbound/receive.ts';
import { readBody } from './body.ts';

const ID = /^[A-Za-z0-9_-]{1,64}$/;
const NO_ENDPOINT = 'No such endpoint. Copy the URL again from Inlet (inlet endpoints list).';
const JSON_HEADERS = { 'content-type': 'application/json' };

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { ...JSON_HEADERS, ...headers } });
const no = (status: number, message: string, headers?: Record<string, string>) =>
  answer(status, { success: false, message }, headers);

/** `POST /webhooks/{endpointId}`: bounded bytes in, the provider's answer out. Every failure to store is a 503 to retry. */
export function hooks(ctx: Context): (endpointId: string, request: Request) => Promise<Response> {
  return async (endpointId, request) => {
    const known = ID.test(endpointId) ? await ctx.live.get(endpointId) : null;
    if (!known) return no(404, NO_ENDPOINT);
    const encoding = request.headers.get('content-encoding');
    if (encoding !== null && encoding.toLowerCase() !== 'identity') {
      return no(415, 'Send the body uncompressed: Inlet checks the signature over the bytes as they arrive.');
    }
    const body = await readBody(request, known.settings.maxBodyBytes);
    if (body === 'tooLarge')
      return no(413, `The body is over ${known.settings.maxBodyBytes} bytes, the limit of this endpoint.`);
    if (body === 'busy')
      return no(503, 'Too many requests are being read. Send it again shortly.', {
        'retry-after': '2',
        connection: 'close',
      });
    if (body === 'incomplete') return no(400, 'The body ended before it was complete.');
    if (body === 'slow') return no(408, 'The body took longer than 30 seconds.', { connection: 'close' });
    try {
      const live = await ctx.live.get(endpointId); // it may have changed while the body was under way
      if (!live) return no(404, NO_ENDPOINT);
      const result = await receive(ctx, live, { body, headers: request.headers.toJSON() as Record<string, string> });
      return answer(result.status, result.body);
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      ctx.log.warn({ err: error, endpointId }, 'could not store a delivery; asked the sender to retry');
      return no(503, "Inlet can't store this now. Send it again later; nothing of it was kept.", {
        'retry-after': '30',
      });
    }
  };
}
