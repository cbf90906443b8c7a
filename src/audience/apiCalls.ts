import {
  type ApplyOptions,
  applyApiWrite,
  type ContactWrite,
  makeAddressIdentity,
  makeUserIdentity,
  type WriteOrigin,
  type Written,
} from './apiWrite.ts';
import { applyConsent } from './applyConsent.ts';
import { applyDeletion } from './applyDeletion.ts';
import type { ConsentReason } from './consent.ts';
import { parseEmail } from './emails.ts';
import type { By } from './findContact.ts';
import type { Contact } from './people.ts';
import { makeEmailTie } from './people.ts';
import { makeOutcome, type PersonCall } from './personCall.ts';
import type { Reconciled } from './reconcile.ts';
import { makeUserTie } from './ties.ts';

/** What an API write must have in memory. */
export function collectWriteKeys(write: ContactWrite, aliases: string[] = []) {
  const { email, userId, mailingLists = {} } = write;
  return {
    ids: [
      ...(email === undefined ? [] : [makeAddressIdentity(email)]),
      ...(userId === undefined ? [] : [makeUserIdentity(userId)]),
      ...aliases,
    ],
    ties: [
      ...(email === undefined ? [] : [makeEmailTie(email)]),
      ...(userId === undefined ? [] : [makeUserTie('', userId)]),
      ...aliases.map(each => `id:${each}`),
    ],
    lists: Object.keys(mailingLists),
  };
}

/** Creates or updates a contact. The address is brought into its normal form. @throws AppError invalid for a bad address */
export function buildWriteCall(
  mode: 'create' | 'update' | 'upsert',
  given: ContactWrite,
  options: ApplyOptions,
): PersonCall<Written> {
  const write = given.email === undefined ? given : { ...given, email: parseEmail(given.email) };
  const cause = { key: options.key, deliveryId: options.deliveryId ?? null };
  return {
    keys: collectWriteKeys(write, options.aliases),
    apply(people, now) {
      const written = applyApiWrite(people, mode, write, options, now);
      return makeOutcome(written, written, cause);
    },
  };
}

const collectKeysOfPerson = (by: By) =>
  'id' in by
    ? { contacts: [by.id] }
    : 'email' in by
      ? { ties: [makeEmailTie(by.email)] }
      : { ties: [makeUserTie('', by.userId)] };

/** Deletes a contact. Refused: not found. @throws AppError invalid for a bad address */
export function buildDeleteCall(given: By, origin: WriteOrigin): PersonCall<Contact> {
  const by = 'email' in given ? { email: parseEmail(given.email) } : given;
  const cause = { key: origin.key, deliveryId: origin.deliveryId ?? null };
  return {
    keys: collectKeysOfPerson(by),
    apply(people, now) {
      const { contact, done } = applyDeletion(people, by, origin, now);
      return makeOutcome(contact, done, cause);
    },
  };
}

/** Says of an address that it is subscribed or not; the contact that shows or keeps it follows. `email` in its normal form. */
export function buildConsentCall(
  email: string,
  subscribed: boolean,
  reason: ConsentReason,
  origin: WriteOrigin,
): PersonCall<Reconciled | null> {
  const cause = { key: origin.key, deliveryId: origin.deliveryId ?? null };
  return {
    keys: { ties: [makeEmailTie(email)] },
    apply(people, now) {
      const done = applyConsent(people, email, subscribed, reason, now);
      return makeOutcome(done, done, cause);
    },
  };
}
