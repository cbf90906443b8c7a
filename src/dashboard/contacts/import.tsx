import { useState } from 'preact/hooks';
import { appendQuery, callApi, type List } from '../api.ts';
import { readFirstRows } from '../common/csv.ts';
import { linkTo, visit } from '../router.ts';
import { CheckField, Failure, Screen, SelectField, Show, useAction, useLoaded } from '../ui.tsx';
import { Columns, type Meanings } from './importColumns.tsx';
import { PastImports } from './importProgress.tsx';

const SHOWN_ROWS = 4; // the header among them
const BEGINNING = 65_536; // bytes that are read for them

interface Chosen {
  file: File;
  rows: string[][];
}
type Consent = '' | 'true' | 'false';
const CONSENTS: [Consent, string][] = [
  ['', 'as the columns say'],
  ['true', 'nobody in the file has, unless a column says so'],
  ['false', 'everybody in the file has'],
];

/** Contacts out of a CSV file: looked at, its columns mapped, then sent. */
export function Import() {
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const { error, run } = useAction();
  const choose = async (file: File | undefined) => {
    setChosen(null);
    if (!file) return;
    const rows = readFirstRows(await file.slice(0, BEGINNING).text(), SHOWN_ROWS);
    if (!rows[0]) throw new Error('The file is empty. Choose a CSV file whose first row names the columns.');
    setChosen({ file, rows });
  };
  return (
    <Screen title="Import contacts">
      <p>
        A CSV file in UTF-8 whose first row names the columns, such as an export of Loops or of another Inlet. Contacts
        are made or updated; workflows and outgoing webhooks hear nothing of it, and who opted out stays out.
      </p>
      <div class="field narrow">
        <label for="file">File</label>
        <input
          id="file"
          type="file"
          accept=".csv,.tsv,.txt,text/csv"
          onChange={event => {
            const file = event.currentTarget.files?.[0];
            void run(() => choose(file));
          }}
        />
      </div>
      <Failure message={error} />
      {chosen && <Form key={`${chosen.file.name} ${chosen.file.lastModified}`} of={chosen} />}
      <PastImports />
    </Screen>
  );
}

function Form({ of: { file, rows } }: { of: Chosen }) {
  const [columns, setColumns] = useState<Meanings>({});
  const [listIds, setListIds] = useState<string[]>([]);
  const [subscribed, setSubscribed] = useState<Consent>('');
  const [createProperties, setCreate] = useState(true);
  const { busy, error, run } = useAction();
  const send = (dryRun: boolean) =>
    run(async () => {
      const given = Object.keys(columns).length ? JSON.stringify(columns) : null;
      const mailingLists = listIds.join(',');
      const flags = { createProperties: String(createProperties), dryRun: String(dryRun) };
      const path = appendQuery('/contacts/import', { columns: given, mailingLists, subscribed, ...flags });
      const { id } = await callApi<{ id: string }>('POST', path, file);
      visit(linkTo(['contacts', 'import', id]));
    });
  return (
    <form
      onSubmit={event => {
        event.preventDefault();
        void send(false);
      }}
    >
      <h2>What the columns mean</h2>
      <Columns rows={rows} meanings={columns} set={setColumns} />
      <div class="narrow">
        <CheckField label="Make properties that do not exist yet" value={createProperties} onChange={setCreate} />
        <SelectField
          label="Who of them opted out"
          value={subscribed}
          options={CONSENTS}
          onChange={next => setSubscribed(next)}
          hint="Where a column may tell and leaves it open, Inlet asks before it takes the file."
        />
        <PutOn listIds={listIds} set={setListIds} />
      </div>
      <Trouble message={error} header={rows[0] ?? []} meanings={columns} set={setColumns} />
      <p class="row">
        <button type="button" disabled={busy} onClick={() => void send(true)}>
          Try it, and change nothing
        </button>
        <button type="submit" class="main" disabled={busy}>
          Import {file.name}
        </button>
      </p>
    </form>
  );
}

function PutOn({ listIds, set }: { listIds: string[]; set(ids: string[]): void }) {
  const lists = useLoaded('lists', () => callApi<List[]>('GET', '/lists'));
  const toggle = (id: string, isOn: boolean) => set(isOn ? [...listIds, id] : listIds.filter(each => each !== id));
  return (
    <Show of={lists}>
      {all =>
        all.length > 0 && (
          <fieldset>
            <legend>Put everybody on</legend>
            {all.map(({ id, name }) => (
              <CheckField key={id} label={name} value={listIds.includes(id)} onChange={isOn => toggle(id, isOn)} />
            ))}
          </fieldset>
        )
      }
    </Show>
  );
}

const QUESTION = /^columns\.(.*): does it say who opted out\? It holds (.*?)\. Say columns=/s;
const ANSWERS: [string, string][] = [
  ['', 'choose …'],
  ['subscribed', 'who is subscribed: yes or no'],
  ['unsubscribed', 'who opted out: yes or no'],
  ['optOutTime', 'who opted out: wherever it holds anything'],
  ['skip', 'nothing of the kind: pass it over'],
];

interface TroubleProps {
  message: string | null;
  header: string[];
  meanings: Meanings;
  set(meanings: Meanings): void;
}

/** Why the file was not taken. Where that is the question who opted out, it can be answered here. */
function Trouble({ message, header, meanings, set }: TroubleProps) {
  const [, text = '', values = ''] = QUESTION.exec(message ?? '') ?? [];
  const name = header.find(each => JSON.stringify(each) === `"${text}"`);
  if (name === undefined) return <Failure message={message} />;
  const { [name]: meaning, ...others } = meanings;
  return (
    <div class="note narrow" role="alert">
      <p>
        Does the column <b>{name}</b> say who opted out? It holds {values}. Answer, then import again: nothing was taken
        yet.
      </p>
      <SelectField
        label={`What ${name} says`}
        value={meaning === null ? 'skip' : (meaning ?? '')}
        options={ANSWERS}
        onChange={answer => set(answer === '' ? others : { ...others, [name]: answer === 'skip' ? null : answer })}
      />
    </div>
  );
}
