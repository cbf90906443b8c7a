import type { z } from 'zod';
import type { message } from '../../http/v1/mailShapes.ts';

export type Message = z.infer<typeof message>;
/** What the editor changes. */
const PARTS = ['subject', 'previewText', 'fromName', 'fromEmail', 'replyToEmail', 'html', 'text'] as const;
export type Part = (typeof PARTS)[number];

/** Where in which part something is wrong, by the API's words; line and column are null where it does not say. */
export interface Fault {
  part: Part | null;
  line: number | null;
  column: number | null;
  text: string;
}

/** `html: line 2, column 9: …` or Liquid's `html: …, line:2, col:9`. */
export function readFault(message: string): Fault {
  const name = /^(?:message\.)?(\w+): /.exec(message)?.[1];
  const [, line = null, column = null] = /line:? ?(\d+), col(?:umn)?:? ?(\d+)/.exec(message) ?? [];
  return {
    part: PARTS.find(each => each === name) ?? null,
    line: line === null ? null : Number(line),
    column: column === null ? null : Number(column),
    text: message,
  };
}

/** The place of a line and column, both from 1, in a text. */
export function findOffset(text: string, line: number, column: number): number {
  const before = text.split('\n').slice(0, line - 1);
  return Math.min(text.length, before.reduce((sum, each) => sum + each.length + 1, 0) + column - 1);
}
