type Value = string | number | boolean;

/** `plan=pro, amount=3` as values by name. */
export function readValues(text: string): Record<string, Value> {
  const found: Record<string, Value> = {};
  for (const part of text.split(',')) {
    const [, key, value = ''] = /^\s*([^=]+?)\s*=\s*(.*?)\s*$/.exec(part) ?? [];
    if (key) found[key] = readOne(value);
  }
  return found;
}

function readOne(value: string): Value {
  if (/^-?\d+(\.\d+)?$/.test(value)) return Number(value);
  return value === 'true' || value === 'false' ? value === 'true' : value;
}
