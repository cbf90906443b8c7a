import type { z } from 'zod';
import type { mail, wholeMail } from '../http/v1/mailShapes.ts';
import type { contactView, deliveryDetail, deliveryView, endpointView } from '../http/v1/shapes.ts';

export type Endpoint = Omit<z.infer<typeof endpointView>, 'events'> & { events: Record<string, EventSettings> };
export type Delivery = z.infer<typeof deliveryView>;
export type DeliveryDetail = z.infer<typeof deliveryDetail>;
export type Contact = z.infer<typeof contactView> & { createdAt: string; updatedAt: string };

export type Mail = z.infer<typeof mail>;
export type WholeMail = z.infer<typeof wholeMail>;

export interface Person extends Contact {
  emails: string[];
  userIds: string[];
  sharedAddress?: true;
  softBounces?: number;
  identities: { provider: string; namespace: string; personId: string | null; deleted: boolean; firstSeenAt: string }[];
}

export interface Entry {
  id: string;
  at: string;
  kind: 'delivery' | 'event' | 'run' | 'mail' | 'change';
  summary: string;
  deliveryId: string | null;
}

export interface List {
  id: string;
  name: string;
}

export interface Provider {
  id: string;
  name: string;
  /** `mail`: its events have `enabled` and nothing else to set. */
  about: 'people' | 'mail';
  eventTypes: { type: string; description: string; deletion: boolean }[];
  settings: { properties?: Record<string, SettingSchema> };
  setup: string[];
}

export interface SettingSchema {
  type?: string;
  enum?: string[];
  description?: string;
  default?: unknown;
}

/** What is set for one event type; a deletion has `onDelete`. */
export interface EventSettings {
  enabled: boolean;
  syncNames: boolean;
  userGroup: string | null;
  mailingLists: string[];
  triggerEvent: string | null;
  triggerMaxAgeHours: number;
  eventProperties: Record<string, string>;
  contactProperties: Record<string, string>;
  onDelete?: 'unsubscribe' | 'delete' | 'ignore';
}

export interface Page<T> {
  pagination: {
    totalResults: number;
    totalIsCapped?: boolean;
    nextCursor: string | null;
  };
  data: T[];
}

export interface Self {
  scope: 'all' | 'read';
  session: { id: string } | null;
}

/** A failure whose message says what to do. `status` 0: no answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
let onSignedOut = () => {};

/** What to do when the server says that the session has ended. */
export function watchSignOut(listener: () => void): void {
  onSignedOut = listener;
}

/**
 * Calls the API, whose schemas promise the shape `T`. The address is relative: a proxy may serve the page below any path. A file is
 * sent as it is, anything else as JSON. @throws ApiError
 */
export async function callApi<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method, credentials: 'same-origin' };
  if (body instanceof Blob) {
    init.headers = { 'content-type': 'text/csv' };
    init.body = body;
  } else if (body !== undefined) {
    init.headers = { 'content-type': 'application/json' };
    init.body = JSON.stringify(body);
  }
  const response = await send(path, init);
  return response.json().catch(() => null); // a 204 has no body
}

/** The beginning of what the API answers as text, `characters` of it or a little more. @throws ApiError */
export async function readBeginning(path: string, characters: number): Promise<string> {
  const response = await send(path, { credentials: 'same-origin' });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (reader && text.length < characters) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += value;
  }
  await reader?.cancel();
  return text;
}

/** An answer that is no failure. @throws ApiError */
async function send(path: string, init: RequestInit): Promise<Response> {
  const response = await fetch(`../api/v1${path}`, init).catch(() => {
    throw new ApiError(0, 'Inlet does not answer. Check that the server runs and that you are online, then try again.');
  });
  if (response.ok) return response;
  const answer = await response.json().catch(() => null);
  if (response.status === 401) onSignedOut();
  throw new ApiError(
    response.status,
    answer?.message ??
      `Inlet answered ${response.status} without a reason. Try again; the log of the server has the cause.`,
  );
}

/** A path with its query; parameters without a value are left out. */
export function appendQuery(path: string, query: Record<string, string | null | undefined>): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => Boolean(pair[1]));
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}
