import { describe, expect, test } from 'bun:test';
import { type Blame, findBlame } from '../../src/mail/blame.ts';
import { classifyReply, type Outcome } from '../../src/mail/smtpReply.ts';
import replies from '../fixtures/smtp/replies.json';

const COMMANDS: Record<string, string> = { MAIL: 'MAIL FROM', RCPT: 'RCPT TO', end: 'DATA' };

/** What a refusal leads to: only proof against the mailbox costs the address. */
function expected(at: string, blame: Blame, status: number): Outcome {
  const error = expect.any(String) as unknown as string;
  const troubles = blame === 'sender' || blame === 'policy' || blame === 'rate';
  if (status === 530) return { kind: 'down', error };
  if (status < 500) return troubles ? { kind: 'later', error, trouble: true } : { kind: 'later', error };
  if (blame === 'mailbox') return { kind: 'bounced', error };
  if (blame === 'mailboxFull' || blame === 'greylisting') return { kind: 'later', error };
  if (blame === 'content' && at !== 'RCPT') return { kind: 'failed', error, trouble: true };
  return { kind: 'later', error, trouble: true };
}

describe('who is to blame for a refusal', () => {
  test.each(replies as [string, string, Blame, string][])('%s, %s: %s: %s', (_, at, blame, response) => {
    const responseCode = Number(response.slice(0, 3));
    expect(findBlame(response)).toBe(blame);
    const error = Object.assign(new Error(response), { responseCode, response, command: COMMANDS[at] });
    expect(classifyReply(error)).toEqual(expected(at, blame, responseCode));
  });

  test('whoever is named: an answer that names our address and not theirs is about us', () => {
    const response = '550 5.1.1 <hello@acme.example>: unknown user';
    const error = Object.assign(new Error(response), { responseCode: 550, response, command: 'RCPT TO' });
    const envelope = { from: 'Hello@acme.example', to: 'bob@example.com' };
    expect(classifyReply(error)).toMatchObject({ kind: 'bounced' });
    expect(classifyReply(error, envelope)).toMatchObject({ kind: 'later', trouble: true });
    expect(classifyReply(error, { ...envelope, to: envelope.from })).toMatchObject({ kind: 'bounced' });
  });

  test('whatever was refused before, no address is lost at MAIL', () => {
    const response = '550 5.1.1 user unknown';
    const error = Object.assign(new Error(response), { responseCode: 550, response, command: 'MAIL FROM' });
    expect(classifyReply(error)).toMatchObject({ kind: 'later', trouble: true });
  });

  test('there are at least eighty of them, of every kind', () => {
    expect(replies.length).toBeGreaterThanOrEqual(80);
    expect(new Set(replies.map(([, , blame]) => blame)).size).toBe(8);
  });
});
