export const NOTHING_FAILED = 'nothing failed';

/**
 * What this work fails with. Used instead of `expect(…).rejects`, because bun's matcher runs the event loop by itself
 * until the promise settles, and with a store's transactions under way that can take seconds.
 */
export const failure = (work: Promise<unknown>): Promise<Error & { code?: string }> =>
  work.then(
    () => new Error(NOTHING_FAILED),
    error => error,
  );
