import { invalid } from '../errors.ts';
import { pickEmail as plausible } from '../providers/pick.ts';

/** An address as it is stored. @throws AppError invalid */
export function parseEmail(text: string): string {
  const email = plausible(text);
  if (email === null) throw invalid('Invalid email address.');
  return email;
}

/** An address in its normal form where it is one, else as it came: for look-ups, which find nobody then. */
export const normalizeEmail = (text: string): string => plausible(text) ?? text.trim().toLowerCase();
