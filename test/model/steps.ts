/**
 * The vocabulary of the model: what reaches Inlet, in the order of arrival, without any of Inlet's own types. Times are ms since 1970.
 * "k" of a fact: (at, micros, rank, externalId, endpoint.id).
 */
export type Scalar = string | number | boolean;
export type ProviderId = 'stripe' | 'clerk' | 'supabase' | 'polar';

/** A verified webhook (or listed person of a back-fill) with its settings applied: paths already picked. */
export interface FactStep {
  kind: 'fact';
  arrivedAt: number;
  endpoint: { id: string; provider: ProviderId; namespace: string };
  /** Unique per event; the same one again at the same endpoint with other settings is a replay. */
  externalId: string;
  fact: {
    authority: 'person' | 'copy';
    rank: 0 | 1 | 2 | 3;
    at: number;
    micros: number;
    /** Clerk's event timestamp; 0 elsewhere. */
    sentAt: number;
    /** Only Supabase's DELETE: the arrival; everywhere else what happened, happened at `at`. */
    happenedAt?: number;
    /** Null: address-only (guest checkout, waitlist entry, dispute). */
    personId: string | null;
    /** Other ids of the provider that mean this person. */
    aliases: string[];
    email: string | null;
    proven: boolean;
    /** What the event says was before; an absent key: it does not say. Null: it says nothing. */
    former: { email?: string | null; firstName?: string | null; lastName?: string | null } | null;
    firstName: string | null;
    lastName: string | null;
    /** Clerk and Supabase: same as personId. Polar: external_id. */
    userId: string | null;
    deletion: boolean;
  };
  settings: {
    userGroup: string | null;
    syncNames: boolean;
    lists: string[];
    /** Mapped custom properties; types are all defined beforehand and fit. */
    properties: Record<string, Scalar>;
    /** The same paths in the document as it was before; an absent key: it does not say. */
    formerProperties: Record<string, Scalar | null>;
    onDelete: 'unsubscribe' | 'delete' | 'ignore';
  };
}

/** `PUT /contacts/update`, `POST /contacts/create`, or a row of an import. */
export interface WriteStep {
  kind: 'write';
  arrivedAt: number;
  how: 'create' | 'update' | 'import';
  email?: string;
  userId?: string;
  firstName?: string | null;
  lastName?: string | null;
  userGroup?: string;
  source?: string;
  subscribed?: boolean;
  properties?: Record<string, Scalar | null>;
  lists?: Record<string, boolean>;
}

/** `POST /contacts/delete`. */
export interface DeleteStep {
  kind: 'delete';
  arrivedAt: number;
  by: { email: string } | { userId: string };
}

/** A click on the link in a mail that was sent to this address. */
export interface LinkStep {
  kind: 'link';
  arrivedAt: number;
  email: string;
  subscribed: boolean;
}

/** Erasure of whom this leads to. */
export interface EraseStep {
  kind: 'erase';
  arrivedAt: number;
  email: string;
}

export type Step = FactStep | WriteStep | DeleteStep | LinkStep | EraseStep;

/** A contact as `GET /contacts` shows it. Parked and removed ones are not shown. */
export interface ModelContact {
  email: string;
  userId: string | null;
  firstName: string | null;
  lastName: string | null;
  source: string;
  userGroup: string;
  subscribed: boolean;
  properties: Record<string, Scalar>;
  lists: string[];
}

/** How the API answered a step: a refusal (400, 404, 409) is no write. */
export type Answer = 'done' | 'refused';

/** What is compared: the core in memory, the store through the real path, and the model. */
export interface Audience {
  take(step: Step): Promise<Answer> | Answer;
  /** Sorted by email. */
  contacts(): Promise<ModelContact[]> | ModelContact[];
}
