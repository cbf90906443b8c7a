import {
  type ApplyOptions,
  applyApiWrite,
  type ContactWrite,
  identityOfAddress,
  identityOfUser,
  type WriteOrigin,
  type Written,
} from './apiWrite.ts';
import { applyConsent } from './applyConsent.ts';
import { applyDeletion } from './applyDeletion.ts';
import type { ConsentReason } from './consent.ts';
import { emailOf } from './emails.ts';
import type { By } from './findContact.ts';
import type { Contact } from './people.ts';
import { emailTie } from './people.ts';
import { outcomeFrom, type PersonCall } from './personCall.ts';
import type { Reconciled } from './reconcile.ts';
import { userTie } from './ties.ts';

/** What an API write must have in memory. */
export function keysOfWrite(write: ContactWrite, aliases: string[] = []) {
  const { email, userId, mailingLists = {} } = write;
  return {
    ids: [
      ...(email === undefined ? [] : [identityOfAddress(email)]),
      ...(userId === undefined ? [] : [identityOfUser(userId)]),
      ...aliases,
    ],
    ties: [
      ...(email === undefined ? [] : [emailTie(email)]),
      ...(userId === undefined ? [] : [userTie('', userId)]),
      ...aliases.map(each => `id:${each}`),
    ],
    lists: Object.keys(mailingLists),
  };
}

/** Creates or updates a contact. The address is brought into its normal form. @throws AppError invalid for a bad address */
export function writingCall(
  mode: 'create' | 'update' | 'upsert',
  given: ContactWrite,
  options: ApplyOptions,
): PersonCall<Written> {
  const write = given.email === undefined ? given : { ...given, email: emailOf(given.email) };
  const cause = { key: options.key, deliveryId: options.deliveryId ?? null };
  return {
    keys: keysOfWrite(write, options.aliases),
    apply(people, now) {
      const written = applyApiWrite(people, mode, write, options, now);
      return outcomeFrom(written, written, cause);
    },
  };
}

const keysOfWhom = (by: By) =>
  'id' in by
    ? { contacts: [by.id] }
    : 'email' in by
      ? { ties: [emailTie(by.email)] }
      : { ties: [userTie('', by.userId)] };

/** Deletes a contact. Refused: not found. @throws AppError invalid for a bad address */
export function deletingCall(given: By, origin: WriteOrigin): PersonCall<Contact> {
  const by = 'email' in given ? { email: emailOf(given.email) } : given;
  const cause = { key: origin.key, deliveryId: origin.deliveryId ?? null };
  return {
    keys: keysOfWhom(by),
    apply(people, now) {
      const { contact, done } = applyDeletion(people, by, origin, now);
      return outcomeFrom(contact, done, cause);
    },
  };
}

/** Says of an address that it is subscribed or not; the contact that shows or keeps it follows. `email` in its normal form. */
export function consentCall(
  email: string,
  subscribed: boolean,
  reason: ConsentReason,
  origin: WriteOrigin,
): PersonCall<Reconciled | null> {
  const cause = { key: origin.key, deliveryId: origin.deliveryId ?? null };
  return {
    keys: { ties: [emailTie(email)] },
    apply(people, now) {
      const done = applyConsent(people, email, subscribed, reason, now);
      return outcomeFrom(done, done, cause);
    },
  };
}
