type Scalar = string | number | boolean | null;

/** Somebody's word for a value: a provider's by a webhook, or the API's. */
export interface Claim {
  value: Scalar;
  at: string;
  identityId: string;
  provider: string;
  personId: string | null;
  via: string;
  deliveryId: string | null;
  type: string | null;
  /** Why it does not show; null: it does. */
  sentence: string | null;
  /** Said by the delivery that is explained. */
  own: boolean;
}

/** A field of a contact: what shows, by which rule, and what does not. */
export interface FieldExplained {
  field: string;
  value: Scalar;
  sentence: string;
  won: Claim | null;
  lost: Claim[];
  omitted: number;
}

export interface ContactExplained {
  contactId: string;
  sentence: string;
  fields: FieldExplained[];
  identities: {
    identityId: string;
    sentence: string;
    email: string | null;
    proven: boolean;
  }[];
  consent: {
    subscribed: boolean;
    sentence: string;
    history: { at: string; subscribed: boolean; reason: string; email: string | null }[];
  };
}

export interface DeliveryExplained {
  verified: { verified: boolean; sentence: string };
  received: { endpointId: string; endpointName: string | null; at: string; duplicates: number };
  fact: {
    identityId: string | null;
    sentence: string | null;
    at: string;
    rankName: string;
    authority: 'person' | 'copy';
  } | null;
  contact: {
    contactId: string | null;
    nowContactId: string | null;
    sentence: string;
    email: string | null;
    fields: FieldExplained[];
  } | null;
}
