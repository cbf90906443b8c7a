import { z } from 'zod';
import type { NodeWrite } from '../../audience/nodeWrite.ts';
import type { Cause, ContactChange } from '../../changes.ts';
import type { Person } from '../conditions.ts';
import type { Expected, Heard } from '../expected.ts';
import type { Known } from '../graph.ts';
import type { Outcome } from '../walk.ts';

export const MAX_BRANCHES = 20;
const UNIT_MS = { m: 60_000, h: 3_600_000, d: 86_400_000 };
const LONGEST_MS = 366 * UNIT_MS.d;

export const nextNodeIds = z.array(z.string().max(64)).max(MAX_BRANCHES);
export const reEligible = z.boolean();
export const duration = { amount: z.number().int().min(0), unit: z.enum(['m', 'h', 'd']) };

/** ms of an amount of minutes, hours or days. */
export function convertToMs({ amount, unit }: { amount: number; unit: keyof typeof UNIT_MS }): number {
  return amount * UNIT_MS[unit];
}

export function findDurationProblem(given: Parameters<typeof convertToMs>[0]): string | null {
  return convertToMs(given) > LONGEST_MS ? 'amount: a timer may take 366 days at most' : null;
}

/** What a node sees of a walk. */
export interface Visit {
  id: string;
  person: Person;
  /** ms since 1970. */
  now: number;
  /** Whether the person passes the AudienceFilter with this id. */
  passes(id: string): boolean;
  /** The first event since the run began that is expected. */
  findEvent(expected: Expected): Heard | undefined;
  /** When the wait began at which the run stands, ms since 1970; null: it stands at none. */
  waitingSince: number | null;
}

/** What a node does with who enters it. */
export interface Move {
  /** The step that is noted; null: none. */
  outcome: Outcome | null;
  detail?: Record<string, unknown>;
  /** An email message to send. */
  mail?: string;
  /** What to write of the contact, in a transaction of its own (see contactStep.ts): then the step is noted and the run moves on. */
  write?: NodeWrite;
  /** The node is asked again at all that follow. */
  isGuard?: boolean;
  to:
    | { next: string | undefined }
    | { waitUntil: number } // ms since 1970
    | { end: 'completed' | 'exited'; reason: string | null };
}

export function moveOn(outcome: Outcome, next: string | undefined, more: Partial<Move> = {}): Move {
  return { outcome, to: { next }, ...more };
}

export function leaveRun(outcome: Outcome | null, reason: string): Move {
  return { outcome, to: { end: 'exited', reason } };
}

/** A type of node, in Loops' words. All that the graph, the walk and the texts know of it. */
export interface NodeType<N extends string = string, F extends z.ZodType = z.ZodType> {
  typeName: N;
  /** What it does, in half a sentence. */
  summary: string;
  /** Its fields beside `typeName`. What a draft may lack is null. */
  fields: F;
  /** How many ways lead out of it, from and to; one if not said. */
  ways?: [number, number];
  /** What is wrong with it, or null. `typeNameOf` is of the other nodes of the graph. */
  findProblem?(node: z.output<F>, known: Known, typeNameOf: (id: string) => string | undefined): string | null;
  /** What it lacks before the workflow can start, or null. */
  findLack?(node: z.output<F>): string | null;
  /** Where a person who enters goes. */
  enter(node: z.output<F>, visit: Visit): Move;
  /** Where a person goes whose wait is over; the first way if not said. Waiting on makes no new step. */
  resume?(node: z.output<F>, visit: Visit): Move;
  /** Whether who is there may go on; only filters ask. */
  lets?(node: z.output<F>, person: Person): boolean;
  /** Only triggers: nobody enters while a run of theirs is under way. */
  isExclusive?(node: z.output<F>): boolean;
  /** Only triggers: why who entered by it leaves before the next node, or null. */
  findLeave?(node: z.output<F>, person: Person): string | null;
  /** The event that it waits for. */
  findExpected?(node: z.output<F>): Expected;
  /** Only triggers: what makes an entry unique, '' for once in a contact's life; null: this is not what it waits for. */
  findEntry?(node: z.output<F>, change: ContactChange, cause: Cause): string | null;
}

/** Declares a type of node: its file exports one, and the registry has one line for it. */
export function declareNode<N extends string, F extends z.ZodType>(type: NodeType<N, F>): NodeType<N, F> {
  return type;
}

type TriggerType<N extends string, F extends z.ZodType<{ nextNodeIds: string[] }>> = Omit<NodeType<N, F>, 'enter'> &
  Required<Pick<NodeType<N, F>, 'findEntry'>>;

/** A node that starts runs; one passes through it. */
export function declareTrigger<N extends string, F extends z.ZodType<{ nextNodeIds: string[] }>>(
  type: TriggerType<N, F>,
): NodeType<N, F> {
  return { ...type, enter: node => moveOn('entered', node.nextNodeIds[0]) };
}
