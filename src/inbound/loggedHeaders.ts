/** The allow-listed headers, each cut to 300 characters. */
export function pickLoggedHeaders(allowed: string[], headers: Record<string, string>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const name of ['content-type', 'content-length', 'user-agent', ...allowed]) {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (value !== undefined) out[name] = value.toWellFormed().replaceAll('\0', '').slice(0, 300);
  }
  return out;
}
