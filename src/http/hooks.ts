import type { Context } from '../context.ts';
import { StoreUnavailable } from '../db/store.ts';
import { countWebhook } from '../history/stats.ts';
import { receive } from '../inbound/receive.ts';
import { type Unread, useBody } from './body.ts';

const ID = /^[A-Za-z0-9_-]{1,64}$/;
const NO_ENDPOINT = 'No such endpoint. Copy the URL again from Inlet (inlet endpoints list).';
const JSON_HEADERS = { 'content-type': 'application/json' };

const answer = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { ...JSON_HEADERS, ...headers } });
const refuseHook = (status: number, message: string, headers?: Record<string, string>) =>
  answer(status, { success: false, message }, headers);

/** Why a body was not read, as an answer. */
function refuseUnread(why: Unread, limit: number): Response {
  if (why === 'tooLarge') return refuseHook(413, `The body is over ${limit} bytes, the limit of this endpoint.`);
  if (why === 'incomplete') return refuseHook(400, 'The body ended before it was complete.');
  if (why === 'slow') return refuseHook(408, 'The body came too slowly.', { connection: 'close' });
  const headers = { 'retry-after': '2', connection: 'close' };
  return refuseHook(503, 'Too many requests are being read. Send it again shortly.', headers);
}

/** A webhook's way in. `peer`: the address it came from, if any. */
type ReceiveHook = (endpointId: string, request: Request, peer?: string | null) => Promise<Response>;

/** `POST /webhooks/{endpointId}`: bounded bytes in, the provider's answer out. Every failure to store is a 503 to retry. */
export function makeHookReceiver(ctx: Context): ReceiveHook {
  const refuse = (given: Response): Response => {
    countWebhook(ctx, 'refused', null);
    return given;
  };
  const store = async (endpointId: string, body: Uint8Array, request: Request): Promise<Response> => {
    const begunAt = performance.now(); // the body is there
    const live = await ctx.live.get(endpointId); // it may have changed while the body was under way
    if (!live) return refuseHook(404, NO_ENDPOINT);
    try {
      const result = await receive(ctx, live, { body, headers: request.headers.toJSON() as Record<string, string> });
      countWebhook(ctx, result.body.result ?? 'rejected', performance.now() - begunAt);
      return answer(result.status, result.body);
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      ctx.log.warn({ err: error, endpointId }, 'could not store a delivery; asked the sender to retry');
      const later = "Inlet can't store this now. Send it again later; nothing of it was kept.";
      return refuse(refuseHook(503, later, { 'retry-after': '30' }));
    }
  };
  return async (endpointId, request, peer = null) => {
    const known = ID.test(endpointId) ? await ctx.live.get(endpointId) : null;
    if (!known) return refuseHook(404, NO_ENDPOINT);
    const encoding = request.headers.get('content-encoding');
    if (encoding !== null && encoding.toLowerCase() !== 'identity') {
      const plain = 'Send the body uncompressed: Inlet checks the signature over the bytes as they arrive.';
      return refuse(refuseHook(415, plain));
    }
    const limit = known.settings.maxBodyBytes;
    return useBody(request, limit, { to: endpointId, peer }, async body =>
      typeof body === 'string' ? refuse(refuseUnread(body, limit)) : store(endpointId, body, request),
    );
  };
}
