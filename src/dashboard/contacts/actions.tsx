import { useState } from 'preact/hooks';
import { appendQuery, callApi, type Page, type Person } from '../api.ts';
import { Confirm } from '../common/confirm.tsx';
import { linkTo, visit } from '../router.ts';
import { Show, useLoaded } from '../ui.tsx';

type Act = 'unsubscribe' | 'subscribe' | 'delete' | 'erase';
interface Props {
  of: Person;
  reload(): Promise<void>;
}
interface DialogProps extends Props {
  close(): void;
}

/** What can be done with a person, each asked about before. */
export function Actions({ of: person, reload }: Props) {
  const [act, setAct] = useState<Act | null>(null);
  const close = () => setAct(null);
  const props = { of: person, reload, close };
  return (
    <section aria-label="Actions">
      <p class="row">
        {person.subscribed ? (
          <button type="button" onClick={() => setAct('unsubscribe')}>
            Unsubscribe
          </button>
        ) : (
          <button type="button" onClick={() => setAct('subscribe')}>
            Subscribe again
          </button>
        )}
        <button type="button" class="bad" onClick={() => setAct('delete')}>
          Delete
        </button>
        <button type="button" class="bad" onClick={() => setAct('erase')}>
          Erase
        </button>
      </p>
      {act === 'unsubscribe' && <Unsubscribe {...props} />}
      {act === 'subscribe' && <Subscribe {...props} />}
      {act === 'delete' && <Delete {...props} />}
      {act === 'erase' && <Erase {...props} />}
    </section>
  );
}

function Unsubscribe({ of: { email }, reload, close }: DialogProps) {
  const work = async () => {
    await callApi('PUT', '/contacts/update', { email, subscribed: false });
    await reload();
  };
  return (
    <Confirm title={`Unsubscribe ${email}?`} action="Unsubscribe" work={work} close={close}>
      <p>
        No mail of a workflow or a list goes there any more, whatever webhooks, imports or sign-ups say. Transactional
        mail still does. It holds for the address and the person, also after the contact is deleted.
      </p>
    </Confirm>
  );
}

function Subscribe({ of: { email }, reload, close }: DialogProps) {
  const work = async () => {
    await callApi('PUT', '/contacts/update', { email, subscribed: true });
    await reload();
  };
  return (
    <Confirm title={`Subscribe ${email} again?`} action="Subscribe again" work={work} close={close}>
      <p>
        It takes back that this person opted out, whoever said so: a link in a mail, a complaint, a bounce, your
        program. Do it only where they asked you to; “Where this comes from” below tells what happened.
      </p>
      <p>
        <a href={linkTo(['suppressions'], { email })}>Is the address suppressed?</a>
      </p>
    </Confirm>
  );
}

function Delete({ of: { id, email }, close }: DialogProps) {
  const work = async () => {
    await callApi('DELETE', `/contacts/${encodeURIComponent(id)}`);
    visit(linkTo(['contacts']));
  };
  return (
    <Confirm title={`Delete ${email}?`} action={`Delete ${email}`} isDanger work={work} close={close}>
      <p>
        The contact goes; webhooks, events and mails in the log stay. Later webhooks about the same persons at the
        providers do not bring it back; made anew through the API it is there again.
      </p>
    </Confirm>
  );
}

type Count = [what: string, many: string];
const KINDS: [what: string, path: string][] = [
  ['Webhooks, with their payloads', '/deliveries'],
  ['Events', '/events'],
  ['Mails', '/mails'],
];

/** How much there is of a contact, of each kind. */
async function countCopies(contactId: string): Promise<Count[]> {
  return Promise.all(
    KINDS.map(async ([what, path]): Promise<Count> => {
      const { pagination } = await callApi<Page<unknown>>('GET', appendQuery(path, { contactId, perPage: '1' }));
      return [what, `${pagination.totalIsCapped ? 'more than ' : ''}${pagination.totalResults}`];
    }),
  );
}

function Erase({ of: person, close }: DialogProps) {
  const { id, email, emails } = person;
  const identities = person.identities.filter(each => each.provider !== 'api');
  const counts = useLoaded(`erase ${id}`, () => countCopies(id));
  const work = async () => {
    await callApi('DELETE', `/contacts/${encodeURIComponent(id)}?erase=true`);
    visit(linkTo(['contacts']));
  };
  return (
    <Confirm title={`Erase ${email}?`} action={`Erase ${email} for good`} isDanger work={work} close={close}>
      <p>Nothing that tells of this person stays, and nothing brings it back. What goes:</p>
      <Show of={counts}>
        {found => (
          <dl class="facts">
            <dt>Addresses</dt>
            <dd>{emails.join(', ')}</dd>
            <dt>Persons at providers</dt>
            <dd>{identities.map(each => `${each.provider} ${each.personId ?? 'by address'}`).join(', ') || 'none'}</dd>
            {found.map(([what, many]) => (
              <div key={what}>
                <dt>{what}</dt>
                <dd>{many}</dd>
              </div>
            ))}
          </dl>
        )}
      </Show>
      <p>
        Workflow runs and outgoing calls about them go too; copies in the log within moments, in the background. That
        they want no mail, or that mail to them bounced, stays known as a hash. Old webhooks and replays do not bring
        them back; who signs up anew is somebody new.
      </p>
    </Confirm>
  );
}
