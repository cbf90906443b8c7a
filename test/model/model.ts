import { chooseUserId, listActs, showContact } from './contact.ts';
import { compareSince, type Group } from './groups.ts';
import { compareKeys, type Key, keyOfCall, keyOfFact } from './order.ts';
import { type Act, type Entry, guestId, identifyPeople, type Person } from './people.ts';
import type {
  Answer,
  Audience,
  DeleteStep,
  EraseStep,
  FactStep,
  LinkStep,
  ModelContact,
  Step,
  WriteStep,
} from './steps.ts';
import { Timeline } from './timeline.ts';

/**
 * The contact rules, slow and obvious. Keeps all that arrived; who is what is worked out from the beginning whenever it is asked.
 * Facts stand in the order of their keys; a write, a link or a removal is about whom it found when it arrived.
 */
export class Model implements Audience {
  private facts: FactStep[] = [];
  private acts: Act[] = [];
  private calls = 0;
  private readonly erasedEvents = new Set<string>();
  private readonly erasedDead = new Set<string>();
  private readonly forgotten = new Map<string, Key>();

  take(step: Step): Answer {
    this.calls++;
    switch (step.kind) {
      case 'fact':
        if (!this.erasedEvents.has(eventOf(step))) this.facts.push(step);
        return 'done';
      case 'write':
        return this.write(step);
      case 'delete':
        return this.deleteContact(step);
      case 'link':
        return this.followLink(step);
      case 'erase':
        return this.erase(step);
    }
  }

  contacts(): ModelContact[] {
    const timeline = this.buildTimeline();
    const shown = timeline.groups.flatMap(group => {
      const { email } = group;
      if (email === null) return [];
      const maySend = (instant: number, joiner: Person) => timeline.maySend(group, instant, joiner);
      return [showContact({ ...group, email }, timeline.isSubscribed(group), maySend)];
    });
    return shown.toSorted((a, b) => (a.email < b.email ? -1 : 1));
  }

  private buildTimeline(): Timeline {
    const people = identifyPeople(this.facts);
    const entries = listEntries(this.facts);
    const byPerson = new Map<string, Entry[]>();
    for (const entry of entries) {
      const id = people.ofStep(entry.step);
      if (id === null || this.erasedDead.has(id)) continue;
      byPerson.set(id, [...(byPerson.get(id) ?? []), entry]);
    }
    const acts = this.acts.map(act => translateIds(act, people.ofId));
    return new Timeline(byPerson, acts, this.forgotten);
  }

  private write(step: WriteStep): Answer {
    const timeline = this.buildTimeline();
    const { email, userId } = step;
    const byEmail = email === undefined ? null : timeline.findByEmail(email);
    const byUserId = userId === undefined ? null : timeline.findByUserId(userId);
    const other = byUserId ?? (userId === undefined ? null : timeline.findParked(userId));
    if (byEmail && other && byEmail !== other && byEmail.email === email) return 'refused';
    // A payer's id that is shown where somebody older pays finds nobody, and still is another contact's.
    const isShownElsewhere = (other: Group) =>
      other.email !== null && other !== byEmail && chooseUserId(other) === userId;
    const isOther = userId !== undefined && !byUserId && byEmail?.email === email;
    if (isOther && timeline.groups.some(isShownElsewhere)) return 'refused';
    if (step.how === 'create' && (byEmail || byUserId)) return 'refused';
    // A former address of somebody with a user id of their own: this user takes it over.
    const isTaken =
      byEmail !== null && byEmail.email !== email && userId !== undefined && chooseUserId(byEmail) !== null;
    const group = byUserId ?? (isTaken ? null : byEmail);
    if (!group && email === undefined) return 'refused';
    const shown = group?.email ?? email!;
    const speaker = chooseSpeaker(group, byUserId ? userId! : null, userId, shown);
    const isMove = byUserId !== null && email !== undefined && email !== group!.email;
    const isNewUser = group !== null && !byUserId && speaker === `api user ${userId}`;
    const setsEmail = !group || isMove ? email! : isNewUser ? shown : null;
    const payers = group?.people.filter(p => p.kind === 'payer' && !p.demoted) ?? [];
    const isOfPayers = group !== null && speaker.startsWith('api @') && !group.people.some(p => isAnchor(p));
    this.acts.push({
      kind: 'write',
      key: keyOfCall(step.arrivedAt, this.calls),
      step,
      speaker,
      setsEmail,
      setsUserId: byUserId ? null : (userId ?? null),
      made: !group,
      carrier: isOfPayers ? (payers.toSorted(compareSince)[0]?.id ?? null) : null,
    });
    if (step.subscribed === undefined || (step.subscribed && step.how === 'import')) return 'done';
    // No import, and no default, undoes an opt-out.
    const emails = [setsEmail ?? shown, ...(email === undefined ? [] : [email])];
    if (!step.subscribed && group) emails.push(...timeline.listOwnEmails(group));
    const people = [...(group ? listIds(group) : []), ...(setsEmail === null ? [] : [speaker])];
    this.acts.push({ kind: 'consent', key: this.now(step), subscribed: step.subscribed, emails, people });
    return 'done';
  }

  /** Consent goes by the time itself. */
  private now({ arrivedAt }: Step): Key {
    return { ...keyOfCall(arrivedAt, this.calls), instant: arrivedAt * 1000 };
  }

  /** Acts on the address that the mail was sent to, whatever became of the contact, and on whom it finds by it. */
  private followLink(step: LinkStep): Answer {
    const timeline = this.buildTimeline();
    const group = timeline.findByEmail(step.email, true);
    const reaches = group !== null && (group.email === step.email || !step.subscribed);
    const emails = [step.email];
    if (reaches && group.email !== null) emails.push(group.email);
    if (reaches && !step.subscribed) emails.push(...timeline.listOwnEmails(group));
    const people = reaches ? listIds(group) : [];
    this.acts.push({ kind: 'consent', key: this.now(step), subscribed: step.subscribed, emails, people });
    return 'done';
  }

  private deleteContact(step: DeleteStep): Answer {
    const timeline = this.buildTimeline();
    const group = 'email' in step.by ? timeline.findByEmail(step.by.email) : timeline.findByUserId(step.by.userId);
    if (!group) return 'refused';
    const key = keyOfCall(step.arrivedAt, this.calls);
    const people = group.people.map(p => p.id);
    this.acts.push({ kind: 'removal', key, people, withheld: timeline.listWithheld(group) });
    return 'done';
  }

  /** All of the person goes; opt-outs stay, and the ids of who was deleted stay dead. */
  private erase(step: EraseStep): Answer {
    const timeline = this.buildTimeline();
    const group = timeline.findByEmail(step.email, true);
    const showing = new Set(timeline.groups.filter(g => g.email !== null).flatMap(g => g.people.map(p => p.id)));
    const hidden = timeline.people.filter(p => !showing.has(p.id)).map(p => p.id);
    const { ofStep } = identifyPeople(this.facts);
    const named = new Set(this.facts.filter(f => f.fact.email === step.email && !f.fact.deletion).map(ofStep));
    for (const act of this.acts) {
      if (act.kind !== 'write' || act.step.email !== step.email) continue;
      named.add(act.speaker);
      if (!showing.has(act.speaker)) hidden.push(act.speaker); // also of a contact that was removed
    }
    const gone = new Set([...(group?.people.map(p => p.id) ?? []), ...hidden.filter(id => named.has(id))]);
    if (gone.size === 0 && !named.has(guestId(step.email))) return 'refused';
    gone.add(guestId(step.email));
    // With what the API said of them by their user id.
    for (const { id, kind, namespace, userIds } of timeline.people)
      if (gone.has(id) && kind === 'user')
        for (const userId of userIds) {
          const speaker = `api user${namespace && `@${namespace}`} ${userId}`;
          if (!showing.has(speaker)) gone.add(speaker);
        }
    const written = new Set(group ? listActs(group).map(act => act.key.externalId) : []);
    for (const person of timeline.people) if (gone.has(person.id) && person.death) this.erasedDead.add(person.id);
    const emails = new Set<string | null>(
      timeline.people.filter(p => gone.has(p.id)).flatMap(p => p.stays.map(stay => stay.email)),
    );
    emails.add(step.email);
    const isGone = (fact: FactStep) => gone.has(ofStep(fact) ?? '');
    for (const fact of this.facts.filter(isGone)) this.erasedEvents.add(eventOf(fact));
    this.facts = this.facts.filter(fact => !isGone(fact));
    const isGoneAct = (act: Act) => act.kind === 'write' && (written.has(act.key.externalId) || gone.has(act.speaker));
    this.acts = this.acts
      .filter(act => !isGoneAct(act))
      .map(act => (act.kind === 'removal' ? { ...act, people: act.people.filter(id => !gone.has(id)) } : act));
    // Who was withheld from these addresses must not come forward now that their owner is forgotten.
    const key = keyOfCall(step.arrivedAt, this.calls);
    for (const person of timeline.people)
      if (person.withheld && !gone.has(person.id) && person.entries.some(e => emails.has(e.step.fact.email)))
        this.forgotten.set(person.id, key);
    return 'done';
  }
}

function eventOf(step: FactStep): string {
  return `${step.endpoint.id} ${step.externalId}`;
}

/** Deliveries in the order of their keys. A replay replaces what its delivery said; lists are only added, removals never taken back. */
function listEntries(facts: FactStep[]): Entry[] {
  const entries = new Map<string, Entry>();
  for (const step of facts) {
    const before = entries.get(eventOf(step));
    const wasDelete = before?.onDelete === 'delete';
    entries.set(eventOf(step), {
      key: keyOfFact(step),
      step: before ? { ...step, fact: before.step.fact } : step,
      lists: new Set([...(before?.lists ?? []), ...step.settings.lists]),
      onDelete: wasDelete ? 'delete' : step.settings.onDelete,
    });
  }
  return [...entries.values()].toSorted((a, b) => compareKeys(a.key, b.key));
}

function translateIds(act: Act, ofId: (id: string) => string): Act {
  if (act.kind === 'removal') return { ...act, people: act.people.map(ofId), withheld: act.withheld.map(ofId) };
  if (act.kind === 'consent') return { ...act, people: act.people.map(ofId) };
  return { ...act, carrier: act.carrier === null ? null : ofId(act.carrier) };
}

function isAnchor(p: Person): boolean {
  return (p.kind === 'user' && !p.demoted) || p.kind === 'api';
}

/** Of whom the API speaks: the user by whose id it was found, who proved the address, the API contact, a new user id, the address. */
function chooseSpeaker(group: Group | null, by: string | null, userId: string | undefined, shown: string): string {
  const known = group?.people.toSorted(compareSince) ?? [];
  const api = known.filter(p => p.kind === 'api');
  if (by !== null) return api.find(p => p.userIds.includes(by))?.id ?? `api user ${by}`;
  const prover = known.find(p => isAnchor(p) && p.kind === 'user' && p.current?.proof && p.current.email === shown);
  if (prover) return `api user${prover.namespace && `@${prover.namespace}`} ${prover.userIds[0]}`;
  return api[0]?.id ?? (userId === undefined ? `api @${shown}` : `api user ${userId}`);
}

function listIds(group: Group): string[] {
  return group.people.filter(p => p.kind !== 'guest' && p.kind !== 'note' && !p.demoted).map(p => p.id);
}
