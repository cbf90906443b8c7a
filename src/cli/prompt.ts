import { readFileSync, statSync } from 'node:fs';
import { invalid } from '../errors.ts';
import { UsageError } from './command.ts';

const MAX_BYTES = 4096;
const CTRL_C = '\u0003';
const ENTER = ['\r', '\n', '\u0004'];
const BACKSPACE = ['\u007f', '\b'];

/** Reads one line from the terminal without showing it. Exits 130 on Ctrl-C. */
async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  const { stdin } = process;
  stdin.setRawMode(true);
  let typed = '';
  try {
    for await (const chunk of stdin) {
      for (const character of String(chunk)) {
        if (character === CTRL_C) {
          stdin.setRawMode(false);
          process.stderr.write('\n');
          process.exit(130);
        }
        if (ENTER.includes(character)) return typed;
        typed = BACKSPACE.includes(character) ? typed.slice(0, -1) : typed + character;
      }
    }
    return typed;
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    process.stderr.write('\n');
  }
}

/** A mistyped name may be of a disk or of a device without end. */
function readBounded(file: string): string {
  const stat = statSync(file);
  if (stat.size > 16 * MAX_BYTES || stat.isCharacterDevice() || stat.isBlockDevice()) throw new Error('no secret');
  return file;
}

/** Trimmed text of `file`, `-` being standard input. @throws AppError invalid */
export async function readSecretFrom(file: string, flag = '--secret-file'): Promise<string> {
  let text: string;
  try {
    text = file === '-' ? await Bun.stdin.text() : readFileSync(readBounded(file), 'utf8');
  } catch {
    throw invalid(`${flag}: this file can not be read. Check that it exists and that you may read it.`);
  }
  const secret = text.trim();
  if (!secret || secret.length > MAX_BYTES) throw invalid(`${flag}: there must be one secret in it, and nothing else.`);
  return secret;
}

const SIGNING = { question: 'Signing secret (not shown): ', flag: '--secret-file' };

/** From the flag's file, else asked for without echo. @throws UsageError where there is no terminal to ask on */
export async function readSecret(file: string | undefined, { question, flag } = SIGNING): Promise<string> {
  if (file !== undefined) return readSecretFrom(file, flag);
  if (!process.stdin.isTTY)
    throw new UsageError(`No terminal to ask for the secret. Use ${flag} FILE (- reads standard input).`);
  return (await ask(question)).trim();
}
