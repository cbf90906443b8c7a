const MAX_PATHS = 300;

/** The paths of a payload that lead to a text, a number or a truth value, in the notation of the mappings: `data.object.id`. */
export function collectPaths(payload: unknown): string[] {
  const found: string[] = [];
  const open: [string, unknown][] = [['', payload]];
  for (let next = open.pop(); next && found.length < MAX_PATHS; next = open.pop()) {
    const [path, value] = next;
    if (typeof value === 'object' && value !== null)
      for (const [key, inner] of Object.entries(value)) open.push([path ? `${path}.${key}` : key, inner]);
    else if (value !== null && value !== undefined && path) found.push(path);
  }
  return found.sort();
}
