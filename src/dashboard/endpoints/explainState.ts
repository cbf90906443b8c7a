import type { Endpoint } from '../api.ts';

/** What to do now, in the words of this page; the API's `nextStep` names commands. Null: nothing. */
export function explainState({ state, lastRejected, nextStep }: Endpoint): string | null {
  switch (state) {
    case 'needsSecret':
      return 'Give the provider the URL, then paste the signing secret that it shows.';
    case 'waitingForFirst':
      return 'Everything is set here. Now let the provider send a first event, or send a test.';
    case 'failing':
      return `The last webhooks were all refused: ${lastRejected?.cause ?? 'see the deliveries'}`;
    case 'paused':
      return 'Webhooks are stored and wait. Resume to apply them.';
    case 'live':
      return nextStep;
  }
}
