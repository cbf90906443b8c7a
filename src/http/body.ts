import { AppError } from '../errors.ts';

const MAX_IN_FLIGHT = 64 * 1024 * 1024; // bytes of request bodies held at once, whoever sends them
const DEADLINE_MS = 30_000;
const SMALL = 65_536; // reserved whole by its declared length; what is larger, or of unknown length, is counted as it arrives

let inFlight = 0;

/** Bytes of request bodies held in memory now. */
export const bodiesInFlight = () => inFlight;

export type Unread = 'tooLarge' | 'busy' | 'incomplete' | 'slow';

/** Reads a body of at most `limit` bytes, within 30 s and within what all bodies together may hold. */
export async function readBody(request: Request, limit: number): Promise<Uint8Array | Unread> {
  const length = request.headers.get('content-length');
  const declared = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : null;
  if (declared !== null && declared > limit) return 'tooLarge';
  if (inFlight + (declared ?? 0) > MAX_IN_FLIGHT) return 'busy';
  const { late, stop } = deadline();
  const held = { bytes: 0 };
  try {
    if (declared === null || declared > SMALL) return await streamed(request, limit, held, late);
    held.bytes = declared;
    inFlight += declared;
    const bytes = await Promise.race([request.arrayBuffer(), late]);
    if (bytes === 'slow') return 'slow';
    return bytes.byteLength > limit ? 'tooLarge' : new Uint8Array(bytes);
  } catch {
    return 'incomplete'; // the client left
  } finally {
    stop();
    inFlight -= held.bytes;
  }
}

function deadline(): { late: Promise<'slow'>; stop: () => void } {
  let stop = () => {};
  const late = new Promise<'slow'>(resolve => {
    const id = setTimeout(() => resolve('slow'), DEADLINE_MS);
    stop = () => clearTimeout(id);
  });
  return { late, stop };
}

async function streamed(
  request: Request,
  limit: number,
  held: { bytes: number },
  late: Promise<'slow'>,
): Promise<Uint8Array | Unread> {
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  const giveUp = (why: Unread) => {
    void reader.cancel().catch(() => {});
    return why;
  };
  const chunks: Uint8Array[] = [];
  for (;;) {
    const next = await Promise.race([reader.read(), late]);
    if (next === 'slow') return giveUp('slow');
    if (next.done) return Buffer.concat(chunks, held.bytes);
    held.bytes += next.value.length;
    inFlight += next.value.length;
    if (held.bytes > limit) return giveUp('tooLarge');
    if (inFlight > MAX_IN_FLIGHT) return giveUp('busy');
    chunks.push(next.value);
  }
}

/**
 * A body in blocks of `size` bytes, the last one shorter; holds one of them, and whoever takes them sets the pace.
 * @throws AppError unsupportedMedia, tooLarge, invalid
 */
export async function* blocksOf(request: Request, size: number, limit: number): AsyncGenerator<Buffer> {
  const encoding = request.headers.get('content-encoding');
  if (encoding !== null && encoding.toLowerCase() !== 'identity')
    throw new AppError('unsupportedMedia', 'Send the body uncompressed.');
  if (/^multipart\//i.test(request.headers.get('content-type') ?? ''))
    throw new AppError('unsupportedMedia', 'Send the file itself as the body, such as curl --data-binary @people.csv.');
  const tooLarge = () =>
    new AppError('tooLarge', `The file is over ${limit} bytes. Send it in parts, each with the header.`);
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge();
  const reader = request.body?.getReader();
  if (!reader) return;
  const block = Buffer.allocUnsafe(size);
  let held = 0;
  let all = 0;
  try {
    for (;;) {
      const bytes = await nextOf(reader);
      if (bytes === null) break;
      all += bytes.length;
      if (all > limit) throw tooLarge();
      for (let at = 0; at < bytes.length; ) {
        const taken = Math.min(size - held, bytes.length - at);
        block.set(bytes.subarray(at, at + taken), held);
        held += taken;
        at += taken;
        if (held < size) continue;
        yield block;
        held = 0;
      }
    }
    if (held > 0) yield block.subarray(0, held);
  } finally {
    void reader.cancel().catch(() => {});
  }
}

async function nextOf(reader: Pick<ReadableStreamDefaultReader<Uint8Array>, 'read'>): Promise<Uint8Array | null> {
  const { late, stop } = deadline();
  const next = await Promise.race([reader.read(), late]).catch(() => 'slow' as const);
  stop();
  if (next === 'slow') throw new AppError('invalid', 'The body ended before it was complete.');
  return next.done ? null : next.value;
}
