/**
 * Why one value shows and another does not, in plain sentences: the rules of docs/contacts.md, by a name that programs can hold on to.
 * The code that decides names the rule it decided by.
 */
export const RULES = {
  // What shows
  only: 'Nothing else says anything about it.',
  same: 'Everything that is known says the same.',
  none: 'Nothing that counts says anything about it.',
  apiSet: 'What the API set stays, whatever a webhook says.',
  earliestSource: 'The source is that of the earliest fact that carried an address.',
  earliestGroup: 'The user group is that of the earliest fact that has one.',
  earliestUser: "The earliest user id shows; a person's other ids go on finding the contact.",
  payerId: 'No auth provider knows this person, so the external id of the payer shows.',
  parked: 'Somebody else shows this address now: the contact is kept with its history, not listed and not mailed.',
  removed: 'The contact was removed.',
  listUnion: 'Lists add up: whatever put the contact on it counts.',
  listApi: 'What the API, or the person on the preference page, said last of this list counts.',
  nobodyOut: 'Nobody behind this contact opted out.',
  someIn: 'Of the payers at this address not all opted out, and nobody silences others by typing their address.',
  guestBefore: 'A guest was known at this address before those who opted out.',
  addressOut: 'This address opted out, or mail to it bounced; only an explicit yes that is newer undoes it.',
  ownerOut: 'The person opted out; only an explicit yes that is newer undoes it.',
  allOut: 'Everybody who pays with this address opted out.',
  lastDeleted:
    'Everybody behind this contact was deleted at the provider, which unsubscribes it until somebody new appears.',
  // What does not
  classOrder:
    'API and proven users go before payers, payers before unproven users, and all of them before an address alone.',
  eldestPayer: 'Among payers of one address the one known longest speaks.',
  eldest: 'Of several persons of one rank the one known longest shows.',
  authority: "The person's own record goes before a copy of it on an invoice, an order or a checkout.",
  newer: 'The newer of two counts.',
  apiLater: 'The API set it later.',
  chain: 'Of facts of one time the last in their chain counts: each goes on from the value that another one set.',
  repeat: 'It says the same again, which is no new claim.',
  unfit: "The value does not fit the property's type.",
  withheld: 'An unproven sign-up takes nothing from an address that is, or was before, somebody else’s.',
  taken: 'Somebody else shows this address by a newer proof.',
  stayed: 'A payer stays with the user who moved on; the address of the user shows.',
  gone: 'Somebody who is still there goes before who was deleted.',
  dead: 'The person was deleted at the provider before: later facts bring ids only.',
  forgotten: 'A removal forgets everything that was said before it.',
  notFirst: 'An earlier fact says it already.',
  listOptedOut: 'Nothing is added to a list while the contact is unsubscribed, as of the time of the fact.',
  listLeft: 'The API or the person left this list; no webhook puts the contact back.',
  listGone: 'The list was deleted.',
  userGone: 'The user id of who was deleted shows only while nobody else is here.',
  userFirst: 'The id at an auth provider goes before an external id of a payer.',
} as const;

export type Rule = keyof typeof RULES;

/** One thing to compare two by; above 0: the first goes before the second. */
export type Criterion<T> = readonly [rule: Rule, compare: (a: T, b: T) => number];

/** The first criterion that tells two apart, and which of them goes first; null: none does. */
export function compareBy<T>(criteria: readonly Criterion<T>[], a: T, b: T): { rule: Rule; isFirst: boolean } | null {
  for (const [rule, compare] of criteria) {
    const order = compare(a, b);
    if (order !== 0) return { rule, isFirst: order > 0 };
  }
  return null;
}
