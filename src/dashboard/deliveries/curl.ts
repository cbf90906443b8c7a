/** A text as one word of a shell, whatever it holds. */
const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** The command that sends what a webhook held, with the headers that are kept, to the address in `$URL`. */
export function makeCurl(payload: unknown, headers: Record<string, string>): string {
  const others = Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'content-type');
  const lines = ['content-type: application/json', ...others.map(([name, value]) => `${name}: ${value}`)];
  const options = lines.map(line => `-H ${quote(line)}`).join(' ');
  return `curl -X POST "$URL" ${options} --data-raw ${quote(JSON.stringify(payload))}`;
}
