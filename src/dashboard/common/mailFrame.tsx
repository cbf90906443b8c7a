import { useEffect, useRef, useState } from 'preact/hooks';

/** A mail as its reader sees it. It runs nothing and asks nobody: pictures from elsewhere are left out. */
export function MailFrame({ html, width }: { html: string; width?: 'phone' }) {
  const frame = useRef<HTMLIFrameElement>(null);
  const [pictures, setPictures] = useState(0);
  useEffect(() => {
    const send = () => frame.current?.contentWindow?.postMessage(html, '*');
    const answer = (event: MessageEvent) => {
      if (event.source !== frame.current?.contentWindow) return;
      if (event.data === 'ready') send();
      else setPictures(Number(event.data?.pictures) || 0);
    };
    addEventListener('message', answer);
    send(); // one that is there already does not ask again
    return () => removeEventListener('message', answer);
  }, [html]);
  return (
    <div class={width === 'phone' ? 'mail phone' : 'mail'}>
      <iframe ref={frame} src="frame" sandbox="allow-scripts" title="The mail as its reader sees it" />
      {pictures > 0 && (
        <p class="hint">
          {pictures === 1 ? 'A picture' : `${pictures} pictures`} from elsewhere not loaded: nobody is to know that you
          looked.
        </p>
      )}
    </div>
  );
}
