import type { z } from 'zod';
import type { Cause, ContactChange } from '../../changes.ts';
import type { Expected } from '../expected.ts';
import { addToListTrigger } from './addToListTrigger.ts';
import { audienceFilter } from './audienceFilter.ts';
import { blankTrigger } from './blankTrigger.ts';
import { branchNode } from './branchNode.ts';
import { contactPropertyTrigger } from './contactPropertyTrigger.ts';
import { eventTrigger } from './eventTrigger.ts';
import { exitAction } from './exitAction.ts';
import { listAction } from './listAction.ts';
import type { NodeType } from './node.ts';
import { sendEmailAction } from './sendEmailAction.ts';
import { signupTrigger } from './signupTrigger.ts';
import { timerAction } from './timerAction.ts';
import { updateContactAction } from './updateContactAction.ts';
import { waitForEventAction } from './waitForEventAction.ts';
import { waitUntilAction } from './waitUntilAction.ts';

/** Every type of node. A new one is a file and a line here. */
const NODE_TYPES = [
  blankTrigger,
  signupTrigger,
  eventTrigger,
  contactPropertyTrigger,
  addToListTrigger,
  audienceFilter,
  timerAction,
  waitUntilAction,
  waitForEventAction,
  branchNode,
  sendEmailAction,
  updateContactAction,
  listAction,
  exitAction,
] as const;
type Types = (typeof NODE_TYPES)[number];
export type TypeName = Types['typeName'];

/** Fields that only reads show; they may come back and are passed over. */
export const SHOWN_ONLY = ['subject', 'eventProperties', 'audienceSegmentId'] as const;
type Fields<T> =
  T extends NodeType<infer N, infer F> ? { typeName: N } & Omit<z.output<F>, (typeof SHOWN_ONLY)[number]> : never;
export type Node = Fields<Types>;
type NodeOf<T extends TypeName> = Extract<Node, { typeName: T }>;
type Trigger = NodeOf<Extract<TypeName, `${string}Trigger`>>;

const BY_NAME: ReadonlyMap<string, NodeType> = new Map(NODE_TYPES.map(type => [type.typeName, type]));

export const TYPE_NAMES: readonly string[] = [...BY_NAME.keys()];

/** The types for the API's description, one a line, with their fields. */
export function describeNodeTypes(): string {
  return NODE_TYPES.map(({ typeName, summary, fields }) => {
    const names = Object.keys(fields.shape).filter(
      name => name !== 'nextNodeIds' && !SHOWN_ONLY.some(each => each === name),
    );
    return `* \`${typeName}\`${names.length ? ` \`{${names.join(', ')}}\`` : ''}: ${summary}`;
  }).join('\n');
}

export function findNodeType(typeName: string): NodeType | undefined {
  return BY_NAME.get(typeName);
}

export const isTrigger = (node: Node): node is Trigger => BY_NAME.get(node.typeName)?.findEntry !== undefined;

/** What makes an entry by this trigger unique, '' for once in a contact's life; null: this is not what it waits for. */
export function findEntry(trigger: Trigger, change: ContactChange, cause: Cause): string | null {
  return BY_NAME.get(trigger.typeName)?.findEntry?.(trigger, change, cause) ?? null;
}

/** Whether a trigger starts nothing while a run of the contact is under way. */
export const isExclusive = (trigger: Trigger): boolean =>
  BY_NAME.get(trigger.typeName)?.isExclusive?.(trigger) ?? false;

/** The event that a node waits for, if it waits for one. */
export function findExpected(node: Node): Expected | undefined {
  return BY_NAME.get(node.typeName)?.findExpected?.(node);
}
