import { useState } from 'preact/hooks';
import type { z } from 'zod';
import type { transactional } from '../../http/v1/mailShapes.ts';
import { callApi } from '../api.ts';
import { MailTabs } from '../mails/tabs.tsx';
import { linkTo, visit } from '../router.ts';
import { mayWrite } from '../session.ts';
import { type Column, ListScreen } from '../shell/list.tsx';
import { Chip, Failure, TextField, Time, useAction } from '../ui.tsx';

export type Transactional = z.infer<typeof transactional>;

const COLUMNS: Column<Transactional>[] = [
  { title: 'Name', show: each => <a href={linkTo(['transactional', each.id])}>{each.name}</a> },
  { title: 'State', show: each => <Chip state={each.publishedEmailMessageId ? 'live' : 'draft'} /> },
  { title: 'Variables', show: each => each.dataVariables.join(', ') },
  { title: 'Id', show: each => <code>{each.id}</code> },
  { title: 'Changed', show: each => <Time at={each.updatedAt} /> },
];

/** Mails that programs send one by one: receipts, confirmations. */
export function TransactionalList() {
  return (
    <ListScreen
      title="Transactional emails"
      above={
        <>
          <MailTabs />
          {mayWrite.value && <Add />}
        </>
      }
      at={['transactional']}
      api="/transactional-emails"
      columns={COLUMNS}
      empty="A transactional email is sent by your program, to one person: a receipt, a confirmation. Name the first one above."
    />
  );
}

function Add() {
  const [name, setName] = useState('');
  const { busy, error, run } = useAction();
  const make = async () => {
    const { id } = await callApi<{ id: string }>('POST', '/transactional-emails', { name });
    visit(linkTo(['transactional', id]));
  };
  return (
    <form
      class="row"
      onSubmit={event => {
        event.preventDefault();
        void run(make);
      }}
    >
      <TextField label="Name of a new one" value={name} onInput={setName} required />
      <button type="submit" disabled={busy}>
        Make it
      </button>
      <Failure message={error} />
    </form>
  );
}
