import { showContact } from './contact.ts';
import { compareSince, type Group } from './groups.ts';
import { compareKeys, keyOfCall, keyOfFact } from './order.ts';
import { type Act, type Anchor, type Entry, guestId, identifyPeople } from './people.ts';
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
  private readonly forgotten = new Map<string, number>();

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
      const acts = timeline.listActs(group);
      return [showContact({ ...group, email }, acts, timeline.joins, timeline.isSubscribed(group))];
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
    const byEmail = step.email === undefined ? null : timeline.findByEmail(step.email);
    const byUserId = step.userId === undefined ? null : timeline.findByUserId(step.userId);
    const key = keyOfCall(step.arrivedAt, this.calls);
    if (byEmail && byUserId && byEmail !== byUserId.group) return 'refused';
    const group = byUserId?.group ?? byEmail;
    if (step.how === 'create' && group) return 'refused';
    if (!group) {
      if (step.email === undefined) return 'refused';
      const person = `api ${this.calls}`;
      const setsUserId = step.userId ?? null;
      this.acts.push({ kind: 'write', key, step, anchor: { person }, setsEmail: step.email, setsUserId, made: true });
      this.recordConsent(step, [step.email], [step.email], [person]);
      return 'done';
    }
    const isMove = byUserId !== null && step.email !== undefined && step.email !== group.email;
    let anchor: Anchor = byUserId ? { person: byUserId.person } : timeline.chooseAnchor(group);
    let setsEmail = isMove ? step.email! : null;
    if (!byUserId && step.userId !== undefined && 'email' in anchor) {
      // A user id ties to a person: the payer, or else a contact of its own at this address.
      const payer = group.people.filter(p => p.kind !== 'guest' && !p.demoted).toSorted(compareSince)[0];
      anchor = { person: payer?.id ?? `api ${this.calls}` };
      if (!payer) setsEmail = group.email;
    }
    const setsUserId = byUserId ? null : (step.userId ?? null);
    this.acts.push({ kind: 'write', key, step, anchor, setsEmail, setsUserId, made: false });
    const shown = [setsEmail ?? group.email, step.email].filter(email => email !== null && email !== undefined);
    this.recordConsent(step, shown, [...shown, ...listOwnEmails(timeline, group)], listIds(group));
    return 'done';
  }

  /** No import, and no default, undoes an opt-out. */
  private recordConsent(step: WriteStep, named: string[], own: string[], people: string[]) {
    if (step.subscribed === undefined || (step.subscribed && step.how === 'import')) return;
    const key = keyOfCall(step.arrivedAt, this.calls);
    const emails = step.subscribed ? named : own;
    this.acts.push({ kind: 'consent', key, subscribed: step.subscribed, emails, people });
  }

  /** Acts on the address that the mail was sent to, whatever became of the contact, and on whom it finds by it. */
  private followLink(step: LinkStep): Answer {
    const timeline = this.buildTimeline();
    const group = timeline.findByEmail(step.email);
    const isShown = group?.email === step.email;
    const reaches = group !== null && (isShown || !step.subscribed);
    const emails = [step.email];
    if (reaches && group.email !== null) emails.push(group.email);
    if (reaches && !step.subscribed) emails.push(...listOwnEmails(timeline, group));
    this.acts.push({
      kind: 'consent',
      key: keyOfCall(step.arrivedAt, this.calls),
      subscribed: step.subscribed,
      emails,
      people: reaches ? listIds(group) : [],
    });
    return 'done';
  }

  private deleteContact(step: DeleteStep): Answer {
    const timeline = this.buildTimeline();
    const group =
      'email' in step.by ? timeline.findByEmail(step.by.email) : timeline.findByUserId(step.by.userId)?.group;
    if (!group || !timeline.hasRow(group)) return 'refused';
    const proven = group.people.flatMap(p => (p.current?.proof ? [p.current.email] : []));
    const emails = [...(group.email === null ? [] : [group.email]), ...proven];
    const key = keyOfCall(step.arrivedAt, this.calls);
    this.acts.push({ kind: 'removal', key, people: group.people.map(p => p.id), emails });
    return 'done';
  }

  /** All of the person goes; opt-outs stay, and the ids of who was deleted stay dead. */
  private erase(step: EraseStep): Answer {
    const timeline = this.buildTimeline();
    const group = timeline.findByEmail(step.email);
    const showing = new Set(timeline.groups.filter(g => g.email !== null).flatMap(g => g.people.map(p => p.id)));
    const hidden = timeline.people.filter(p => !showing.has(p.id)).map(p => p.id);
    const { ofStep } = identifyPeople(this.facts);
    const named = new Set(this.facts.filter(f => f.fact.email === step.email).map(ofStep));
    const gone = new Set([...(group?.people.map(p => p.id) ?? []), ...hidden.filter(id => named.has(id))]);
    if (gone.size === 0 && !named.has(guestId(step.email))) return 'refused';
    gone.add(guestId(step.email));
    const written = new Set(group ? timeline.listActs(group).map(act => act.key.externalId) : []);
    for (const person of timeline.people) if (gone.has(person.id) && person.death) this.erasedDead.add(person.id);
    const emails = new Set<string | null>(
      timeline.people.filter(p => gone.has(p.id)).flatMap(p => p.stays.map(stay => stay.email)),
    );
    emails.add(step.email);
    const isGone = (fact: FactStep) => gone.has(ofStep(fact) ?? '');
    for (const fact of this.facts.filter(isGone)) this.erasedEvents.add(eventOf(fact));
    this.facts = this.facts.filter(fact => !isGone(fact));
    const isGoneAct = (act: Act) =>
      act.kind === 'write' &&
      (written.has(act.key.externalId) || ('person' in act.anchor && gone.has(act.anchor.person)));
    this.acts = this.acts
      .filter(act => !isGoneAct(act))
      .map(act => (act.kind === 'write' ? act : { ...act, people: act.people.filter(id => !gone.has(id)) }));
    // Who was withheld from these addresses must not come forward now that their owner is forgotten.
    const { instant } = keyOfCall(step.arrivedAt, this.calls);
    for (const person of timeline.people)
      if (person.withheld && !gone.has(person.id) && person.entries.some(e => emails.has(e.step.fact.email)))
        this.forgotten.set(person.id, instant);
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
  if (act.kind !== 'write') return { ...act, people: act.people.map(ofId) };
  const { anchor } = act;
  return {
    ...act,
    anchor: 'person' in anchor ? { person: ofId(anchor.person) } : { ...anchor, people: anchor.people.map(ofId) },
  };
}

function listIds(group: Group): string[] {
  return group.people.filter(p => p.kind !== 'guest' && !p.demoted).map(p => p.id);
}

/** The present own addresses of a contact's people, except where they are another contact's: nobody silences others by typing. */
function listOwnEmails(timeline: Timeline, group: Group): string[] {
  const own = group.people.flatMap(p => (p.kind === 'guest' || p.current === null ? [] : [p.current.email]));
  return own.filter(email => !timeline.groups.some(g => g !== group && g.email === email));
}
