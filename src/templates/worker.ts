import { analyzeParts, type Parts, type Rendered, renderParts, TemplateError, type Values } from './render.ts';

/* Runs in a thread of its own, a further entry point of the build. Works off one batch after the other. */

/** What the server asks for; `values`: fill in, else find the variables. */
export interface Task {
  id: number;
  parts: Parts;
  values: Values | null;
  isStrict: boolean;
}
export type Answer = { id: number } & (
  | { rendered: Rendered }
  | { variables: string[] }
  | { refused: string } // by what the template says
  | { bug: string }
);

declare const self: Worker;

function perform({ id, parts, values, isStrict }: Task): Answer {
  try {
    return values ? { id, rendered: renderParts(parts, values) } : { id, variables: analyzeParts(parts, isStrict) };
  } catch (error) {
    if (error instanceof TemplateError) return { id, refused: error.message };
    return { id, bug: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

self.onmessage = (event: MessageEvent<Task>) => postMessage(perform(event.data));
postMessage('ready');
