/** The few kinds of failure a caller can tell apart; `http/app.ts` maps each to one status. */
export type ErrorCode =
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'notFound'
  | 'methodNotAllowed'
  | 'conflict'
  | 'tooLarge'
  | 'unsupportedMedia'
  | 'rateLimited'
  | 'unavailable';

/** An error whose `message` was written for the caller. Anything else that is thrown is internal: logged whole, shown blank. */
export class AppError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    override readonly cause?: unknown,
  ) {
    super(message);
    this.name = 'AppError';
  }
}

export const notFound = (what: string) =>
  new AppError('notFound', `${what} not found. Check the id; a deleted one can't be brought back.`);
export const invalid = (message: string) => new AppError('invalid', message);
