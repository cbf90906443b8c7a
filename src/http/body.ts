const MAX_IN_FLIGHT = 64 * 1024 * 1024; // bytes of request bodies held at once, whoever sends them
const DEADLINE_MS = 30_000;

let inFlight = 0;

/** Bytes of request bodies held in memory now. */
export const bodiesInFlight = () => inFlight;

/**
 * Reads a body of at most `limit` bytes. Its declared length is reserved from the common budget before a byte is read, so
 * half-sent bodies can't fill the memory.
 */
export async function readBody(
  request: Request,
  limit: number,
): Promise<Uint8Array | 'tooLarge' | 'busy' | 'incomplete' | 'slow'> {
  const length = request.headers.get('content-length');
  const declared = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : null;
  if (declared !== null && declared > limit) return 'tooLarge';
  const reserved = declared ?? limit;
  if (inFlight + reserved > MAX_IN_FLIGHT) return 'busy';
  inFlight += reserved;
  try {
    return declared !== null && declared <= 65_536 ? await whole(request, limit) : await streamed(request, limit);
  } finally {
    inFlight -= reserved;
  }
}

const timer = () => {
  let stop = () => {};
  const late = new Promise<'slow'>(resolve => {
    const id = setTimeout(() => resolve('slow'), DEADLINE_MS);
    stop = () => clearTimeout(id);
  });
  return { late, stop };
};

async function whole(request: Request, limit: number): Promise<Uint8Array | 'tooLarge' | 'incomplete' | 'slow'> {
  const { late, stop } = timer();
  try {
    const bytes = await Promise.race([request.arrayBuffer(), late]);
    if (bytes === 'slow') return 'slow';
    return bytes.byteLength > limit ? 'tooLarge' : new Uint8Array(bytes);
  } catch {
    return 'incomplete'; // the client left
  } finally {
    stop();
  }
}

async function streamed(request: Request, limit: number): Promise<Uint8Array | 'tooLarge' | 'incomplete' | 'slow'> {
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  const { late, stop } = timer();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const next = await Promise.race([reader.read(), late]);
      if (next === 'slow') {
        void reader.cancel().catch(() => {});
        return 'slow';
      }
      if (next.done) return Buffer.concat(chunks, size);
      size += next.value.length;
      if (size > limit) {
        void reader.cancel().catch(() => {});
        return 'tooLarge';
      }
      chunks.push(next.value);
    }
  } catch {
    return 'incomplete';
  } finally {
    stop();
  }
}
