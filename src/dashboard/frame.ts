/** What has no place in a mail that is only looked at: it could run, load or lead away. The frames forbid all of it too. */
const UNWANTED =
  'script, iframe, frame, object, embed, applet, base, link, form, meta[http-equiv], audio, video, portal';
const LOADED = ['src', 'srcset', 'background', 'poster', 'data'];

const removeUrls = (css: string) => css.replace(/url\(\s*['"]?(?!\s*data:)[^)]*\)|@import[^;]*;?/gi, '');

/** A mail's HTML without what could run, and how many pictures it would load from elsewhere. Parsing runs nothing. */
function cleanMail(html: string): { html: string; pictures: number } {
  const mail = new DOMParser().parseFromString(html, 'text/html');
  let pictures = 0;
  for (const element of mail.querySelectorAll(UNWANTED)) element.remove();
  for (const sheet of mail.querySelectorAll('style')) sheet.textContent = removeUrls(sheet.textContent ?? '');
  for (const element of mail.querySelectorAll('*'))
    for (const { name, value } of [...element.attributes]) {
      const isLoaded = LOADED.includes(name) && !value.trim().startsWith('data:image/');
      if (isLoaded) pictures++;
      if (name === 'style') element.setAttribute(name, removeUrls(value));
      if (isLoaded || name.startsWith('on') || /^\s*javascript:/i.test(value)) element.removeAttribute(name);
    }
  return { html: `<!doctype html>${mail.documentElement.outerHTML}`, pictures };
}

/** Shows the HTML that the page sends in a frame of its own, in which nothing runs, nothing is sent and nothing leads away. */
function showMail(event: MessageEvent): void {
  if (event.source !== parent || typeof event.data !== 'string') return;
  const { html, pictures } = cleanMail(event.data);
  const frame = document.createElement('iframe');
  frame.setAttribute('sandbox', '');
  frame.title = 'The mail';
  frame.srcdoc = html;
  document.body.replaceChildren(frame);
  parent.postMessage({ pictures }, '*');
}

addEventListener('message', showMail);
parent.postMessage('ready', '*');
