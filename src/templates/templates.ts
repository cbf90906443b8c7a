import { AppError } from '../errors.ts';
import type { Parts, Rendered, Values } from './render.ts';
import type { Answer, Task } from './worker.ts';

export type { Parts, Rendered, Values } from './render.ts';

const DEADLINE_MS = 250; // for one task, as far as this process had a processor meanwhile
const MAX_MS = 500; // however starved it was
const LOOK_MS = 25;
const MAX_COUNTED_MS = 50; // by one look: a thread of ours that stood still says nothing about the worker
const START_MS = 20_000;
const IDLE_MS = 5000; // a worker costs some 30 MB
const SENT = 8; // tasks the worker has at a time, so that it need not wait for us
const MAX_WAITING = 500;
const MAX_OVERDUE = 3; // of one message within SUSPECT_MS; then it is not tried for as long
const SUSPECT_MS = 60_000;
const MAX_KEYS = 1000;

// In the executable the worker is a further entry point of the build, found by its place below src/.
const WORKER = Bun.main.startsWith('/$bunfs/') ? './templates/worker.ts' : new URL('./worker.ts', import.meta.url).href;

/** A message that could not be worked on in time. Another time it may do: the machine may have been busy. */
export class Overdue extends AppError {
  /** `wasTried`: false where the same message was too slow just now for others. */
  constructor(readonly wasTried: boolean) {
    super(
      'invalid',
      `The message was given up after ${DEADLINE_MS} ms: its templates take too long. Make its loops, captures and nesting smaller.`,
    );
  }
}

interface Waiting {
  task: Omit<Task, 'id'>;
  key: string | null;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/**
 * Works on templates in a thread of its own, which is ended when a task takes longer than 250 ms: what a template does can't be
 * limited from within (a filter over a large range is not interrupted), and the server's thread waits for none of it. The thread is
 * started when there is something to do and ended when there has been nothing for 5 s.
 */
export class Templates {
  private worker: Worker | null = null;
  private isReady = false;
  private readonly waiting: Waiting[] = [];
  /** What the worker has, the oldest first: it works in this order. */
  private readonly sent = new Map<number, Waiting>();
  private nextId = 0;
  private watch: Timer | undefined;
  private idle: Timer | undefined;
  private readonly stopwatch = new Stopwatch(); // of the oldest of what was sent
  private readonly overdue = new Map<string, number[]>(); // when, by performance.now()

  /**
   * The variables of a message as paths, `data.confirmationUrl`. `isStrict`: also refuses values where they can't be escaped.
   * @throws AppError invalid naming the part, and the line where there is one
   */
  async findVariables(parts: Parts, isStrict: boolean): Promise<string[]> {
    const answer = await this.run({ parts: pickParts(parts), values: null, isStrict }, null);
    return 'variables' in answer ? answer.variables : [];
  }

  /**
   * Fills in the variables, escaped for where they stand. `key` names the message: one that was often too slow is refused at once.
   * @throws AppError invalid naming the part; Overdue
   */
  async render(key: string, parts: Parts, values: Values): Promise<Rendered> {
    const answer = await this.run({ parts: pickParts(parts), values, isStrict: false }, key);
    if (!('rendered' in answer)) throw new Error('the template worker answered something else');
    return answer.rendered;
  }

  /** Ends the thread. What it has not answered is refused. */
  async stop(): Promise<void> {
    const left = [...this.sent.values(), ...this.waiting.splice(0)];
    await this.endWorker();
    for (const each of left) each.reject(new AppError('unavailable', 'Inlet is stopping. Try again in a moment.'));
  }

  private async run(task: Omit<Task, 'id'>, key: string | null): Promise<Answer> {
    if (this.waiting.length >= MAX_WAITING)
      throw new AppError('unavailable', 'Too many messages are being worked on. Try again in a moment.');
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.waiting.push({ task, key, resolve, reject });
      this.send();
    });
    if ('refused' in answer) throw new AppError('invalid', answer.refused);
    if ('bug' in answer) throw new Error(`the template worker failed: ${answer.bug}`);
    return answer;
  }

  private isSuspect(key: string): boolean {
    const times = this.overdue.get(key);
    if (!times) return false;
    const recent = times.filter(time => performance.now() - time < SUSPECT_MS);
    if (recent.length) this.overdue.set(key, recent);
    else this.overdue.delete(key);
    return recent.length >= MAX_OVERDUE;
  }

  private send(): void {
    clearTimeout(this.idle);
    this.worker ??= this.startWorker();
    while (this.isReady && this.sent.size < SENT) {
      const next = this.waiting.shift();
      if (!next) break;
      if (next.key !== null && this.isSuspect(next.key)) {
        next.reject(new Overdue(false));
        continue;
      }
      const id = this.nextId++;
      this.sent.set(id, next);
      this.worker.postMessage({ id, ...next.task } satisfies Task);
    }
    if (this.isReady && !this.sent.size) this.rest();
    else this.watch ??= this.startWatch();
  }

  private startWatch(): Timer {
    this.stopwatch.restart();
    return setInterval(() => this.look(), LOOK_MS);
  }

  private startWorker(): Worker {
    const worker = new Worker(WORKER, { smol: true });
    worker.onmessage = ({ data }: MessageEvent<Answer | 'ready'>) => {
      if (worker !== this.worker) return; // ended meanwhile
      if (data === 'ready') this.isReady = true;
      else this.receive(data);
      this.stopwatch.restart();
      this.send();
    };
    worker.onerror = event => {
      if (worker === this.worker) this.failAll(`The thread that fills in messages failed: ${event.message}`);
    };
    return worker;
  }

  private receive(answer: Answer): void {
    this.sent.get(answer.id)?.resolve(answer);
    this.sent.delete(answer.id);
  }

  private rest(): void {
    clearInterval(this.watch);
    this.watch = undefined;
    this.idle = setTimeout(() => void this.endWorker(), IDLE_MS);
    this.idle.unref();
  }

  /** Counts the time of the oldest task. */
  private look(): void {
    const { cpuMs, wallMs } = this.stopwatch.read();
    if (!this.isReady) {
      if (wallMs >= START_MS) this.failAll('The thread that fills in messages did not start.');
      return;
    }
    if (cpuMs < DEADLINE_MS && wallMs < MAX_MS) return;
    const [slow, ...others] = this.sent.values();
    void this.endWorker();
    this.waiting.unshift(...others);
    if (slow) this.blame(slow);
    if (this.waiting.length) this.send();
  }

  private blame({ key, reject }: Waiting): void {
    if (this.overdue.size > MAX_KEYS) this.overdue.clear();
    if (key !== null) this.overdue.set(key, [...(this.overdue.get(key) ?? []), performance.now()]);
    reject(new Overdue(true));
  }

  private failAll(message: string): void {
    const left = [...this.sent.values(), ...this.waiting.splice(0)];
    void this.endWorker();
    for (const each of left) each.reject(new AppError('unavailable', message));
  }

  private async endWorker(): Promise<void> {
    const { worker } = this;
    this.worker = null;
    this.isReady = false;
    this.sent.clear();
    clearInterval(this.watch);
    clearTimeout(this.idle);
    this.watch = undefined;
    await worker?.terminate();
  }
}

/** Time as it counts for a deadline, read every few ms. */
class Stopwatch {
  private wallMs = 0;
  private cpuMs = 0; // of all threads, which is at least the worker's, and never more than passed
  private at = 0;
  private usage = 0;

  restart(): void {
    this.wallMs = 0;
    this.cpuMs = 0;
    this.note();
  }

  read(): { wallMs: number; cpuMs: number } {
    const { at, usage } = this;
    this.note();
    const passed = Math.min(this.at - at, MAX_COUNTED_MS);
    this.wallMs += passed;
    this.cpuMs += Math.min(passed, this.usage - usage);
    return { wallMs: this.wallMs, cpuMs: this.cpuMs };
  }

  private note(): void {
    const { user, system } = process.cpuUsage();
    this.at = performance.now();
    this.usage = (user + system) / 1000;
  }
}

/** Only what the worker needs crosses to it. */
function pickParts({ subject, previewText, fromName, html, text }: Parts): Parts {
  return { subject, previewText, fromName, html, text };
}
