import { useEffect, useState } from 'preact/hooks';
import { ApiError, callApi } from '../api.ts';
import { MailFrame } from '../common/mailFrame.tsx';
import { readValues } from '../common/readValues.ts';
import { TextField } from '../ui.tsx';
import { type Fault, readFault } from './message.ts';

interface Rendered {
  subject: string;
  html: string;
  text: string;
}
interface Props {
  id: string;
  change: object;
  revision: string;
  setFault(fault: Fault | null): void;
}

const SETTLED_MS = 500; // after the last key
type Way = 'desktop' | 'phone' | 'text';
const WAYS: [Way, string][] = [
  ['desktop', 'Desktop'],
  ['phone', 'Phone'],
  ['text', 'Plain text'],
];

/** What a contact would get by what is typed now, saved or not. */
export function Preview({ id, change, revision, setFault }: Props) {
  const [way, setWay] = useState<Way>('desktop');
  const [email, setEmail] = useState('');
  const [values, setValues] = useState('');
  const [shown, setShown] = useState<Rendered | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const asked = JSON.stringify([change, email, values, revision]);
  useEffect(() => {
    let isLatest = true;
    const render = async () => {
      const given = readValues(values);
      const body = {
        ...(email.trim() && { email: email.trim() }),
        ...(Object.keys(change).length > 0 && { message: change }),
        ...{ eventProperties: given, dataVariables: given },
      };
      try {
        const rendered = await callApi<Rendered>('POST', `/email-messages/${id}/render`, body);
        if (!isLatest) return;
        setShown(rendered);
        setTrouble(null);
      } catch (error) {
        if (!isLatest) return;
        const text = error instanceof Error ? error.message : String(error);
        setTrouble(text);
        const fault = readFault(text);
        if (error instanceof ApiError && error.status === 400 && fault.part) setFault(fault);
      }
    };
    const timer = setTimeout(() => void render(), shown ? SETTLED_MS : 0);
    return () => {
      isLatest = false;
      clearTimeout(timer);
    };
  }, [asked]);
  return (
    <section aria-labelledby="preview">
      <h2 id="preview">What a contact gets</h2>
      <div class="row">
        <TextField label="As this contact" value={email} onInput={setEmail} placeholder="empty: a made-up one" />
        <TextField label="Event and data hold" value={values} onInput={setValues} placeholder="amount=29, plan=pro" />
      </div>
      <fieldset class="choice-row" aria-label="How to show it">
        {WAYS.map(([each, name]) => (
          <button key={each} type="button" aria-pressed={way === each} onClick={() => setWay(each)}>
            {name}
          </button>
        ))}
      </fieldset>
      {trouble !== null && <p class="note">{trouble}</p>}
      {shown && (
        <>
          <p>
            <span class="faint">Subject:</span> <strong>{shown.subject}</strong>
          </p>
          {way === 'text' ? (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard
            <pre tabIndex={0}>{shown.text}</pre>
          ) : (
            <MailFrame html={shown.html} {...(way === 'phone' && { width: 'phone' })} />
          )}
        </>
      )}
    </section>
  );
}
