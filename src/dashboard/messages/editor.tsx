import { useEffect, useState } from 'preact/hooks';
import { ApiError, callApi } from '../api.ts';
import { mayWrite } from '../session.ts';
import { SelectField, TextField } from '../ui.tsx';
import { CodeField } from './codeField.tsx';
import { type Fault, type Message, type Part, readFault } from './message.ts';
import { Preview } from './preview.tsx';
import { SendTest } from './sendTest.tsx';

interface Props {
  message: Message;
  show(changed: Message): void;
  reload(): Promise<void>;
}

type Change = Partial<Pick<Message, Part | 'emailFormat'>>;

/** A message: its fields and source on one side, what a contact gets on the other. What is typed is shown before it is saved. */
export function MessageEditor({ message, show, reload }: Props) {
  const [change, setChange] = useState<Change>({});
  const [fault, setFault] = useState<Fault | null>(null);
  const [goThere, setGoThere] = useState(false);
  const [isStale, setStale] = useState(false);
  const [state, setState] = useState<'idle' | 'busy' | 'saved'>('idle');
  useEffect(() => setChange({}), [message.contentRevisionId]);
  const now = { ...message, ...change };
  const isReadOnly = !mayWrite.value;
  const put = (part: Change) => {
    setState('idle');
    setGoThere(false);
    setFault(null);
    setChange({ ...change, ...part });
  };
  const save = async (expectedRevisionId: string | null) => {
    setState('busy');
    setGoThere(true);
    setFault(null);
    try {
      show(await callApi<Message>('POST', `/email-messages/${message.id}`, { ...change, expectedRevisionId }));
      setStale(false);
      setState('saved');
    } catch (error) {
      setState('idle');
      const text = error instanceof Error ? error.message : String(error);
      if (error instanceof ApiError && error.status === 409 && text.includes('revision')) setStale(true);
      else setFault(readFault(text));
    }
  };
  const faultOf = (part: Part) => (fault?.part === part ? fault : null);
  return (
    <div class="halves wide-halves">
      <form
        onSubmit={event => {
          event.preventDefault();
          void save(message.contentRevisionId);
        }}
      >
        <TextField label="Subject" value={now.subject} onInput={subject => put({ subject })} required />
        <TextField
          label="Preview text"
          value={now.previewText}
          onInput={previewText => put({ previewText })}
          hint="Shown beside the subject in the inbox."
        />
        <details class="plain">
          <summary>Sender and form</summary>
          <TextField label="Name of the sender" value={now.fromName} onInput={fromName => put({ fromName })} />
          <TextField
            label="Address of the sender, before the @"
            value={now.fromEmail}
            onInput={fromEmail => put({ fromEmail })}
          />
          <TextField label="Answers go to" value={now.replyToEmail} onInput={replyToEmail => put({ replyToEmail })} />
          <SelectField
            label="It goes out"
            value={now.emailFormat}
            options={[
              ['styled', 'as HTML and text'],
              ['plain', 'as text alone'],
            ]}
            onChange={emailFormat => put({ emailFormat })}
          />
        </details>
        {fault && fault.part !== 'html' && fault.part !== 'text' && (
          <p class="failure" role="alert">
            {fault.text}
          </p>
        )}
        <CodeField
          label="HTML"
          value={now.html}
          fault={faultOf('html')}
          goThere={goThere}
          readOnly={isReadOnly}
          onInput={html => put({ html })}
        />
        <details class="plain" open={message.text !== ''}>
          <summary>Plain text, in place of the one made from the HTML</summary>
          <CodeField
            label="Plain text"
            value={now.text}
            fault={faultOf('text')}
            goThere={goThere}
            readOnly={isReadOnly}
            onInput={text => put({ text })}
          />
        </details>
        {message.warnings?.map(each => (
          <p class="note" key={each.message}>
            {each.message}
          </p>
        ))}
        {isStale && (
          <div class="failure" role="alert">
            <p>Somebody else changed this message since you opened it. Nothing of yours is saved yet.</p>
            <p class="row">
              <button type="button" class="bad" onClick={() => void save(null)}>
                Save mine in place of theirs
              </button>
              <button
                type="button"
                onClick={() => {
                  setStale(false);
                  setChange({});
                  void reload();
                }}
              >
                Drop mine and show what is saved
              </button>
            </p>
          </div>
        )}
        {!isReadOnly && (
          <p class="row">
            <button type="submit" class="main" disabled={state === 'busy' || Object.keys(change).length === 0}>
              Save the message
            </button>
            {state === 'saved' && <span role="status">Saved.</span>}
          </p>
        )}
      </form>
      <div>
        {mayWrite.value ? (
          <>
            <Preview id={message.id} change={change} revision={message.contentRevisionId} setFault={setFault} />
            <SendTest id={message.id} isChanged={Object.keys(change).length > 0} />
          </>
        ) : (
          <p class="hint">A session that may only read has no previews.</p>
        )}
      </div>
    </div>
  );
}
