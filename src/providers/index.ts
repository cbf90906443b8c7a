import { z } from 'zod';
import { clerk } from './clerk.ts';
import { polar } from './polar.ts';
import { postmark } from './postmark.ts';
import type { Provider } from './provider.ts';
import { resend } from './resend.ts';
import { stripe } from './stripe.ts';
import { supabase } from './supabase.ts';

const namespace = z
  .string()
  .regex(/^[a-z0-9-]{0,40}$/, "must be up to 40 lower-case letters, digits and '-'")
  .default('')
  .describe('Keeps people and user ids apart from those of endpoints of another namespace: staging, sandbox');
const maxBodyBytes = z.int().min(1024).max(26_214_400).default(1_048_576).describe('Largest body accepted, in bytes');

const NAMESPACE_STEP =
  'An endpoint for a sandbox, staging or development gets a namespace of its own (settings.namespace, such as "staging"): its people and user ids stay apart from those of production.';

/** Registers a provider: its settings and steps get what all have in common, and its functions see them parsed by its own schema. */
function registerProvider<Shape extends z.ZodRawShape>(
  provider: Omit<Provider<z.infer<z.ZodObject<Shape>>>, 'settings'> & { settings: z.ZodObject<Shape> },
): Provider {
  const settings = provider.settings.extend({ namespace, maxBodyBytes, ...provider.settings.shape }).strict();
  const setup = provider.class === 'mail' ? provider.setup : [...provider.setup, NAMESPACE_STEP];
  return { ...provider, settings, setup } as Provider; // endpointCache.ts parses an endpoint's settings by this schema before any call
}

/** Every provider, in the order in which they are shown. A new one is its file, a line here and its folder of fixtures. */
export const allProviders: Provider[] = [
  registerProvider(stripe),
  registerProvider(clerk),
  registerProvider(supabase),
  registerProvider(polar),
  registerProvider(resend),
  registerProvider(postmark),
];

/** Those who tell of people: imports and links name people by their ids. */
export const peopleProviders: Provider[] = allProviders.filter(each => each.class !== 'mail');

/** Where providers' APIs are; `*.` stands for one label. */
export const providerHosts: string[] = allProviders.flatMap(provider => provider.apiHosts);

const byId = new Map(allProviders.map(provider => [provider.id, provider]));

export const findProvider = (id: string): Provider | null => byId.get(id) ?? null;
