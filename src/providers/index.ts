import { z } from 'zod';
import { clerk } from './clerk.ts';
import { polar } from './polar.ts';
import type { Provider } from './provider.ts';
import { stripe } from './stripe.ts';
import { supabase } from './supabase.ts';

const maxBodyBytes = z.int().min(1024).max(26_214_400).default(1_048_576).describe('Largest body accepted, in bytes');

/** Registers a provider: its settings get what all have in common, and its functions see them parsed by its own schema. */
function registered<Shape extends z.ZodRawShape>(
  provider: Omit<Provider<z.infer<z.ZodObject<Shape>>>, 'settings'> & { settings: z.ZodObject<Shape> },
): Provider {
  const settings = provider.settings.extend({ maxBodyBytes }).strict();
  return { ...provider, settings } as Provider; // live.ts parses an endpoint's settings by this schema before any call
}

/** Every provider, in the order in which they are shown. A new one is its file, a line here and its folder of fixtures. */
export const allProviders: Provider[] = [
  registered(stripe),
  registered(clerk),
  registered(supabase),
  registered(polar),
];

const byId = new Map(allProviders.map(provider => [provider.id, provider]));

export const providerById = (id: string): Provider | null => byId.get(id) ?? null;
