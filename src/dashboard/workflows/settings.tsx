import { useState } from 'preact/hooks';
import { ApiError, callApi } from '../api.ts';
import { linkTo, visit } from '../router.ts';
import { mayWrite } from '../session.ts';
import { Failure, SelectField, TextField, useAction } from '../ui.tsx';
import type { Choices } from './choices.ts';
import type { Workflow } from './graph.ts';

interface Props {
  workflow: Workflow;
  choices: Choices;
  show(changed: Workflow): void;
}

/** Name, the events that end a run wherever it is, the list it is limited to, and its removal. */
export function WorkflowSettings({ workflow, choices, show }: Props) {
  const { id, workflowRevisionId } = workflow;
  const [name, setName] = useState(workflow.name);
  const [description, setDescription] = useState(workflow.description ?? '');
  const [ends, setEnds] = useState(workflow.exitOn.map(each => each.eventName).join(', '));
  const [saved, setSaved] = useState(false);
  const { busy, error, run } = useAction();
  if (!mayWrite.value) return <p>Runs end at: {ends || 'no event'}.</p>;
  const save = async () => {
    setSaved(false);
    const names = ends
      .split(',')
      .map(each => each.trim())
      .filter(Boolean);
    // a filter that an event has already stays with it
    const exitOn = names.map(eventName => workflow.exitOn.find(each => each.eventName === eventName) ?? { eventName });
    const body = { expectedRevisionId: workflowRevisionId, name, description: description || null, exitOn };
    show(await callApi<Workflow>('POST', `/workflows/${id}`, body));
    setSaved(true);
  };
  return (
    <>
      <form
        class="narrow"
        onSubmit={event => {
          event.preventDefault();
          void run(save);
        }}
      >
        <TextField label="Name" value={name} onInput={setName} required />
        <TextField label="What it is for" value={description} onInput={setDescription} />
        <TextField
          label="Events that end a run wherever it is"
          value={ends}
          onInput={setEnds}
          placeholder="invoice.paid"
          hint="Names, with commas between them. Who has paid gets no more reminders."
        />
        <Failure message={error} />
        <button type="submit" class="main" disabled={busy}>
          Save the settings
        </button>
        {saved && <p role="status">Saved.</p>}
      </form>
      <Limit workflow={workflow} choices={choices} show={show} />
      <Remove workflow={workflow} />
    </>
  );
}

interface ListChange {
  status: 'dryRun' | 'queuedContactsFound' | 'updated';
  queuedContactCount: number;
  workflow?: Workflow;
}

function Limit({ workflow, choices, show }: Props) {
  const [listId, setListId] = useState(workflow.mailingListId ?? '');
  const [found, setFound] = useState<ListChange | null>(null);
  const { busy, error, run } = useAction();
  const save = (queuedContactPolicy: 'fail' | 'discard') =>
    run(async () => {
      const body = { mailingListId: listId || null, queuedContactPolicy };
      const told = await callApi<ListChange>('POST', `/workflows/${workflow.id}/mailing-list`, body);
      setFound(told);
      if (told.workflow) show(told.workflow);
    });
  return (
    <form
      class="narrow"
      onSubmit={event => {
        event.preventDefault();
        void save('fail');
      }}
    >
      <SelectField
        label="Only for members of the list"
        value={listId}
        options={[['', 'for everybody'], ...choices.lists]}
        onChange={setListId}
      />
      <button type="submit" disabled={busy}>
        Save the list
      </button>
      <Failure message={error} />
      {found?.status === 'queuedContactsFound' && (
        <p class="note">
          {found.queuedContactCount} contacts are in it and would leave.{' '}
          <button type="button" class="bad" disabled={busy} onClick={() => void save('discard')}>
            Save, and let them leave
          </button>
        </p>
      )}
      {found?.status === 'updated' && <p role="status">Saved.</p>}
    </form>
  );
}

function Remove({ workflow }: { workflow: Workflow }) {
  const [warning, setWarning] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const remove = (confirmDelete: boolean) =>
    run(async () => {
      try {
        await callApi('DELETE', `/workflows/${workflow.id}`, { confirmDelete });
        visit(linkTo(['workflows']));
      } catch (failure) {
        if (!(failure instanceof ApiError && failure.status === 409)) throw failure;
        setWarning(failure.message.replace(/ Confirm deletion.*$/, ''));
      }
    });
  return (
    <details class="danger">
      <summary>Remove this workflow</summary>
      <p>{warning ?? 'Whoever is in it leaves. Its runs stay readable.'}</p>
      <Failure message={error} />
      <button type="button" class="bad" disabled={busy} onClick={() => void remove(warning !== null)}>
        {warning === null ? `Remove ${workflow.name}` : `Remove ${workflow.name} all the same`}
      </button>
    </details>
  );
}
