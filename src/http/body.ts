import { AppError } from '../errors.ts';
import { type Sender, Share } from './budget.ts';

const DEADLINE_MS = 30_000;
const PROGRESS = { bytes: 4096, ms: 10_000 }; // so much has to come within that time, or the end
const SMALL = 8192; // counted whole by its declared length: as much as a connection costs anyway, and quicker to read

export const BUSY = 'Too many requests are being read. Try again shortly.';
export type Unread = 'tooLarge' | 'busy' | 'incomplete' | 'slow';

/**
 * Reads a body of at most `limit` bytes, within 30 s, and gives it to `use`. It counts as held until `use` is through: what waits
 * for the database takes memory too.
 */
export async function useBody<T>(
  request: Request,
  limit: number,
  sender: Sender,
  use: (body: Uint8Array | Unread) => Promise<T>,
): Promise<T> {
  const share = new Share(sender);
  try {
    return await use(await readBody(request, limit, share));
  } finally {
    share.release();
  }
}

async function readBody(request: Request, limit: number, share: Share): Promise<Uint8Array | Unread> {
  const length = request.headers.get('content-length');
  const declared = length !== null && /^\d{1,15}$/.test(length) ? Number(length) : null;
  if (declared !== null && declared > limit) return 'tooLarge';
  const small = declared !== null && declared <= SMALL;
  if (!share.take(small ? declared : 0)) return 'busy';
  const watch = new Watch();
  try {
    if (!small) return await readChunks(request, limit, share, watch);
    const bytes = await Promise.race([request.arrayBuffer(), watch.late]);
    if (bytes === 'slow') return 'slow';
    return bytes.byteLength > limit ? 'tooLarge' : new Uint8Array(bytes);
  } catch {
    return 'incomplete'; // the client left
  } finally {
    watch.stop();
  }
}

/** Ends the wait for a body that comes too slowly. */
class Watch {
  readonly late: Promise<'slow'>;
  private readonly end: () => void;
  private readonly deadline = performance.now() + DEADLINE_MS;
  private fresh = 0; // bytes since `timer` was set
  private timer: Timer;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<'slow'>();
    this.late = promise;
    this.end = () => resolve('slow');
    this.timer = setTimeout(this.end, PROGRESS.ms);
  }

  /** `bytes` came. */
  note(bytes: number): void {
    this.fresh += bytes;
    if (this.fresh < PROGRESS.bytes) return;
    this.fresh = 0;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.end, Math.max(0, Math.min(PROGRESS.ms, this.deadline - performance.now())));
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}

async function readChunks(request: Request, limit: number, share: Share, watch: Watch): Promise<Uint8Array | Unread> {
  const reader = request.body?.getReader();
  if (!reader) return new Uint8Array();
  const giveUp = (why: Unread) => {
    void reader.cancel().catch(() => {});
    return why;
  };
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const next = await Promise.race([reader.read(), watch.late]);
    if (next === 'slow') return giveUp('slow');
    if (next.done) return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size);
    size += next.value.length;
    if (size > limit) return giveUp('tooLarge');
    if (!share.take(next.value.length)) return giveUp('busy');
    watch.note(next.value.length);
    chunks.push(next.value);
  }
}

/**
 * A body in blocks of `size` bytes, the last one shorter; holds one of them, and whoever takes them sets the pace.
 * @throws AppError unsupportedMedia, tooLarge, invalid, unavailable
 */
export async function* readBlocks(
  request: Request,
  size: number,
  limit: number,
  sender: Sender,
): AsyncGenerator<Buffer> {
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
  const share = new Share(sender);
  if (!share.take(size)) throw new AppError('unavailable', BUSY);
  const block = Buffer.allocUnsafe(size);
  let held = 0;
  let all = 0;
  try {
    for (;;) {
      const bytes = await readNext(reader);
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
    share.release();
    void reader.cancel().catch(() => {});
  }
}

async function readNext(reader: Pick<ReadableStreamDefaultReader<Uint8Array>, 'read'>): Promise<Uint8Array | null> {
  const watch = new Watch();
  const next = await Promise.race([reader.read(), watch.late]).catch(() => 'slow' as const);
  watch.stop();
  if (next === 'slow') throw new AppError('invalid', 'The body ended before it was complete.');
  return next.done ? null : next.value;
}
