// databases: sqlite
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { TestApp } from '../support/app.ts';

let app: TestApp;
beforeEach(async () => {
  app = await TestApp.open();
});
afterEach(() => app.stop());

/** Imports a file to its end. */
async function imported(file: string, query: Record<string, string> = {}) {
  const made = await app.upload(`/contacts/import?${new URLSearchParams(query)}`, file);
  expect({ status: made.status, message: made.body.message }).toEqual({ status: 201, message: undefined });
  await app.drain();
  return (await app.api('GET', `/imports/${made.body.id}`)).body;
}
const refusal = async (file: string, query: Record<string, string> = {}) => {
  const { status, body } = await app.upload(`/contacts/import?${new URLSearchParams(query)}`, file);
  return status === 400 ? String(body.message) : `not refused: ${status}`;
};
/** Who is subscribed, by the part before the @. */
async function subscribed() {
  const all = (await app.contacts()) as { email: string; subscribed: boolean }[];
  return all.flatMap(each => (each.subscribed ? [each.email.split('@')[0]] : [])).sort();
}

/** Files as products export them: everybody whose address begins with `out` must come in as opted out, nobody else. */
const files: [string, string][] = [
  ['Resend', 'id,email,first_name,created_at,unsubscribed\n1,out@x.co,R,2026-01-02T10:00:00Z,true\n2,in@x.co,R,,false'],
  ['Kit', 'email_address,state\nout1@x.co,cancelled\nout2@x.co,complained\nout3@x.co,bounced\nin@x.co,active'],
  [
    'Mailchimp, who left',
    'Email Address,OPTIN_TIME,UNSUB_TIME,UNSUB_REASON\nout@x.co,2024-02-12 17:59:31,2025-01-05 08:00:00,X',
  ],
  [
    'Mailchimp, cleaned',
    'Email Address,CLEAN_TIME,LEID\nout@x.co,2025-01-05 08:00:00,1\nout2@x.co,2025-01-05 08:00:00,2',
  ],
  [
    'Mailchimp, who is on',
    'Email Address,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME\nin@x.co,2,,,\nin2@x.co,2,2024-02-12 17:59:31,198.51.100.7,2024-02-12',
  ],
  ['Ghost', 'id,email,name,subscribed_to_emails,complimentary_plan\n1,out@x.co,A,false,false\n2,in@x.co,B,true,true'],
  ['HubSpot', 'Email,Unsubscribed from all email\nout@x.co,true\nin@x.co,\nin2@x.co,false'],
  [
    'HubSpot, bounces',
    'Email,Portal Bounce,Portal Unsubscribe,Portal Spam Report\nout@x.co,TRUE,FALSE,FALSE\nout2@x.co,FALSE,FALSE,TRUE\nin@x.co,FALSE,FALSE,FALSE',
  ],
  [
    'listmonk',
    'uuid,email,name,attributes,status\n1,out@x.co,A,{},blocklisted\n2,out2@x.co,B,{},disabled\n3,in@x.co,C,{},enabled',
  ],
  [
    'Klaviyo',
    'Email,Email Marketing Consent,Email Suppressions\nout@x.co,NEVER_SUBSCRIBED,\nout2@x.co,UNSUBSCRIBED,\nout3@x.co,SUBSCRIBED,HARD_BOUNCE\nin@x.co,SUBSCRIBED,[]',
  ],
  ['Shopify', 'Email,Accepts Email Marketing,Accepts SMS Marketing\nout@x.co,no,yes\nin@x.co,yes,no'],
  ['Brevo', 'EMAIL,BLACKLISTED,SMS_BLACKLISTED\nout@x.co,1,0\nin@x.co,0,1'],
  ['Substack', 'email,active_subscription,plan,email_disabled\nout@x.co,true,monthly,true\nin@x.co,false,other,false'],
  ['Salesforce', 'Email,HasOptedOutOfEmail\nout@x.co,1\nin@x.co,0'],
  [
    'MailerLite',
    'Email,Subscribed,Unsubscribed\nout@x.co,2024-01-01 10:00:00,2025-01-01 10:00:00\nin@x.co,2024-01-01 10:00:00,',
  ],
  ['Campaign Monitor', 'Email Address,Status\nout@x.co,Deleted\nout2@x.co,Bounced\nin@x.co,Active'],
  ['Customer.io', 'id,email,unsubscribed\n1,out@x.co,true\n2,in@x.co,'],
  ['Buttondown', 'email,subscriber_type\nout@x.co,unsubscribed\nin@x.co,regular'],
  ['Loops', 'email,subscribed,optInStatus\nout@x.co,false,accepted\nin@x.co,true,accepted\nin2@x.co,true,null'],
  ['two columns', 'email,subscribed,unsubscribed_at\nout@x.co,true,2025-01-01\nout2@x.co,false,\nin@x.co,true,'],
  ['zero dates', 'email,unsubscribed_at\nin@x.co,0000-00-00 00:00:00\nin2@x.co,0\nout@x.co,1735689600'],
  ['spaces and case', 'EMAIL,Do Not E-Mail\nout@x.co,Yes\nin@x.co,No'],
  ['words in a column of another name', 'email,Segment\nout@x.co,Unsubscribed\nin@x.co,Subscribed'],
];

describe('opt-outs of an imported file', () => {
  for (const [name, file] of files)
    test(`come in as such: ${name}`, async () => {
      expect(await imported(file)).toMatchObject({ state: 'done', failed: 0 });
      const all = (await app.contacts()) as { email: string }[];
      const emails = all.map(({ email }) => email.split('@')[0] as string);
      expect(await subscribed()).toEqual(emails.filter(each => each.startsWith('in')).sort());
      expect(emails.length).toBe(file.trim().split('\n').length - 1);
    });

  test('a column of times named Subscribed is passed over', async () => {
    const done = await imported('email,Subscribed\na@x.co,2024-01-01 10:00:00\nb@x.co,12/31/2024\n');
    expect(done).toMatchObject({ created: 2, failed: 0, columns: { Subscribed: null } });
    expect(await subscribed()).toEqual(['a', 'b']);
  });

  test('a word that is not known makes the row fail when it comes later', async () => {
    const rows = Array.from({ length: 1500 }, (_, i) => `p${i}@x.co,active`);
    const done = await imported(`email,status\n${rows.join('\n')}\nlate@x.co,abgemeldet\n`);
    expect(done).toMatchObject({ created: 1500, failed: 1 });
    const report = (await app.api('GET', `/imports/${done.id}/report`)).body;
    expect(report).toContain(
      '1502,status,"says neither that this person is subscribed nor that they left: ""abgemeldet""."',
    );
  });
});

describe('a column that may say who opted out', () => {
  test('is asked about, with its values and the ways out', async () => {
    const message = await refusal('email,Status\na@x.co,abonniert\nb@x.co,abgemeldet\nc@x.co,abonniert\n');
    expect(message).toContain('columns.Status: ');
    expect(message).toContain('"abonniert", "abgemeldet"');
    for (const way of [
      '{"Status":"subscribed"}',
      '"unsubscribed"',
      '"optOutTime"',
      '{"Status":null}',
      'subscribed=false',
      'subscribed=true',
    ])
      expect(message).toContain(way);
    expect((await app.api('GET', '/imports')).body.data).toEqual([]);
  });
  const unclear = [
    'email,subscription\na@x.co,weekly\n',
    'email,Opt-in\na@x.co,ja\n',
    'email,unsubscribed\na@x.co,perhaps\n',
    'email,Marketing Information\na@x.co,true\n',
    'email,status\na@x.co,3\n',
    'email,consent\na@x.co,sms\n',
    'email,state\na@x.co,active\nb@x.co,active\nc@x.co,abgemeldet\n',
  ];
  for (const file of unclear)
    test(`is refused: ${file.split('\n')[0]}`, async () => {
      expect(await refusal(file)).toStartWith('columns.');
    });

  test('shows at most five values, cut and without control characters', async () => {
    const rows = Array.from({ length: 9 }, (_, i) => `a@x.co,"v${i}\u0007${'z'.repeat(200)}"`);
    const message = await refusal(`email,status\n${rows.join('\n')}\n`);
    expect(message).toContain('"v4');
    expect(message).not.toContain('v5');
    expect(message).not.toContain('\u0007');
    expect(message.length).toBeLessThan(900);
  });
  const harmless = [
    'email,state\na@x.co,California\nb@x.co,NY\nc@x.co,OR\n',
    'email,State/Region\na@x.co,California\n',
    'email,subscription_plan\na@x.co,pro\n',
    'email,Payment Status\na@x.co,paid\nb@x.co,cancelled\n',
    'email,bounce_count\na@x.co,3\n',
    'email,utm_marketing_campaign\na@x.co,spring\n',
    'email,unsubscribe_url\na@x.co,https://x.co/u/1\n',
    'email,estate\na@x.co,Rosewood\n',
    'email,status_changed_at\na@x.co,2024-01-01\n',
    'email,status\na@x.co,\nb@x.co,null\n',
  ];
  for (const file of harmless)
    test(`is none: ${file.split('\n').slice(0, 2).join(' ')}`, async () => {
      expect(await imported(file)).toMatchObject({ failed: 0 });
      expect((await subscribed()).length).toBe(file.trim().split('\n').length - 1);
    });

  test('is settled by a mapping, by null, or by a property that exists', async () => {
    const file = 'email,Status\nin@x.co,lead\nin2@x.co,lead\n';
    expect(await imported(file, { columns: '{"Status":null}' })).toMatchObject({ failed: 0 });
    expect(await imported(file, { columns: '{"Status":"stage"}' })).toMatchObject({ failed: 0 });
    await app.api('POST', '/contacts/properties', { name: 'Status', type: 'string' });
    expect(await imported(file)).toMatchObject({ failed: 0, columns: { Status: 'Status' } });
    expect(await subscribed()).toEqual(['in', 'in2']);
  });

  test('is settled by the new targets', async () => {
    await imported('email,Gone\nout@x.co,yes\nin@x.co,no\n', { columns: '{"Gone":"unsubscribed"}' });
    await imported('email,Bye\nout2@x.co,12.3.\nin2@x.co,\n', { columns: '{"Bye":"optOutTime"}' });
    expect(await imported('email,Ok\nout3@x.co,0\n', { columns: '{"Ok":"subscribed"}' })).toMatchObject({
      columns: { Ok: 'subscribed' },
    });
    expect(await subscribed()).toEqual(['in', 'in2']);
  });
});

describe('?subscribed', () => {
  test('false says it of everybody in the file', async () => {
    await app.api('POST', '/contacts/create', { email: 'here@x.co' });
    await imported('email,Status\nhere@x.co,whatever\nnew@x.co,subscribed\n', { subscribed: 'false' });
    expect(await subscribed()).toEqual([]);
  });
  test('true answers what is unclear; who is said to have left has left', async () => {
    await imported('email,Status,unsubscribed\na@x.co,whatever,false\nout@x.co,whatever,true\n', {
      subscribed: 'true',
    });
    expect(await subscribed()).toEqual(['a']);
    expect((await app.upload('/contacts/import?subscribed=maybe', 'email\na@x.co\n')).status).toBe(400);
  });
});

test('an import brings nobody back who is found by user id or provider id', async () => {
  await app.api('POST', '/contacts/create', { email: 'left@x.co', userId: 'u_left' });
  await app.api('PUT', '/contacts/update', { email: 'left@x.co', subscribed: false });
  await imported('email,stripe\ngone@x.co,cus_gone\n', { subscribed: 'false' });
  await imported('email,userId,stripe,subscribed\nnew@x.co,u_left,,true\nother@x.co,,cus_gone,true\n');
  expect(await subscribed()).toEqual([]);
});
