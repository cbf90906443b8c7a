import { writeSync } from 'node:fs';
import pino from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Config } from './config.ts';
import { escapeControls, escapeJson } from './plainName.ts';

export type Log = pino.Logger;

/** A failed statement's message ends in its parameters: personal data and sealed secrets stay out of the log. */
function redactMessage(error: Error): string {
  if ('params' in error && 'query' in error) return `Failed query: ${error.query}`;
  return error.message;
}

/** Where it happened, without the message that the stack repeats. */
function listFrames(error: Error): string {
  const stack = error.stack ?? '';
  const at = stack.indexOf(error.message);
  const rest = at < 0 ? stack : stack.slice(at + error.message.length);
  return rest.slice(Math.max(0, rest.search(/^ +at /m)));
}

/** The safe part of an error. Everything else that hangs on it (request, config, parameters) is left out. */
export function redactError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return { message: typeof error === 'string' ? error : typeof error };
  const message = redactMessage(error);
  const code =
    'code' in error && (typeof error.code === 'string' || typeof error.code === 'number') ? { code: error.code } : {};
  const cause = error.cause instanceof Error && depth < 3 ? { cause: redactError(error.cause, depth + 1) } : {};
  return {
    name: error.name,
    message,
    ...code,
    stack: `${error.name}: ${escapeControls(message)}\n${listFrames(error)}`,
    ...cause,
  };
}

/** Foreign words must not move the terminal or make a line of their own; a stack has lines of its own. */
function escapeText(key: string, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  return key === 'stack' ? value.split('\n').map(escapeControls).join('\n') : escapeControls(value);
}

const PATIENCE = 20; // times 5 ms for a reader that does not keep up

/** At once and whole. What can't be written (disk full, reader gone or stuck) is lost: no request may fail because of it. */
function print(line: string): void {
  let bytes = Buffer.from(line);
  for (let tries = 0; bytes.length && tries < PATIENCE; ) {
    try {
      bytes = bytes.subarray(writeSync(1, bytes));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) return;
      tries++;
      Bun.sleepSync(5);
    }
  }
}

/** Lines on stdout, JSON or readable on a terminal. Call sites pass only fields that are safe to show. */
export function createLog(config: Pick<Config, 'logLevel' | 'logFormat'>): Log {
  const options = { level: config.logLevel, base: null, serializers: { err: redactError, error: redactError } };
  // A pino transport is a worker thread with a file of its own, which the single executable does not have.
  if (config.logFormat === 'pretty') {
    const pretty = prettyFactory({ colorize: true, translateTime: 'SYS:HH:MM:ss.l' });
    return pino(options, { write: line => print(pretty(JSON.parse(line, escapeText))) });
  }
  return pino({ ...options, timestamp: pino.stdTimeFunctions.isoTime }, { write: line => print(escapeJson(line)) });
}
