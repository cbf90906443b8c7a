import { afterEach, describe, expect, test } from 'bun:test';
import { closeAll, contact, message, open, queue, sink } from './support.ts';

afterEach(closeAll);

describe('hostile content', () => {
  test('names and properties can not break out of their place', async () => {
    const server = await sink();
    const app = await open(server.port);
    const ada = await contact(app, 'eve@example.com', 'Eve\r\nBcc: all <script>alert(1)</script>');
    const { id } = await message(app, {
      subject: 'Hi {{ contact.firstName }} {{ contact.lastName }}',
      fromName: '{{ contact.lastName }}',
      html: '<p title="{{ contact.lastName }}">{{ contact.lastName }}</p>',
    });
    await queue(app, ada, id);
    await app.drain();
    const { raw, to } = server.mails[0]!;
    expect(to).toEqual(['eve@example.com']);
    expect(raw.split('\r\n\r\n')[0]).not.toMatch(/^Bcc:/im);
    const [, html = ''] = raw.split('Content-Type: text/html');
    expect(html).not.toContain('<script>');
    expect(html.replace(/=\r\n/g, '')).toContain('&lt;script&gt;');
  });

  test.each(['{% include "/etc/passwd" %}', '{% render "secret" %}', '{% layout "x" %}'])(
    'no file is read: %s',
    async html => {
      const app = await open(null);
      const made = await app.api('POST', '/email-messages', { subject: 's', html });
      if (made.status === 201) {
        const shown = await app.api('POST', `/email-messages/${made.body.id}/render`, {});
        expect(shown.status).toBe(400);
        expect(shown.body.message).not.toContain('root:');
      } else expect(made.status).toBe(400);
    },
  );

  test.each(['{{ contact.constructor.name }}', '{{ contact.__proto__.toString }}', '{{ event.toString }}'])(
    'own properties only: %s',
    async html => {
      const app = await open(null);
      const { body } = await app.api('POST', '/email-messages', { subject: 's', html: `[${html}]` });
      const shown = await app.api('POST', `/email-messages/${body.id}/render`, {});
      expect(shown.body.html).toBe('[]');
    },
  );

  test('an endless template is cut, an unknown variable named', async () => {
    const app = await open(null);
    const loop = '{% for i in (1..100000000) %}x{% endfor %}';
    const { body } = await app.api('POST', '/email-messages', { subject: 's', html: loop });
    const begun = performance.now();
    expect((await app.api('POST', `/email-messages/${body.id}/render`, {})).status).toBe(400);
    expect(performance.now() - begun).toBeLessThan(3000);
    const unknown = await app.api('POST', '/email-messages', { subject: '{{ user.name }}', html: 'x' });
    expect(unknown.status).toBe(400);
    expect(unknown.body.message).toContain('subject: {{ user }}');
  });
});

test('a change is shown as it would be and saved nowhere; the list names messages in short', async () => {
  const app = await open(null);
  const { body } = await app.api('POST', '/email-messages', { subject: 'Old', html: '<p>old</p>' });
  const path = `/email-messages/${body.id}`;
  const message = { subject: 'New {{ contact.firstName }}', html: '<p>new</p>' };
  const shown = await app.api('POST', `${path}/render`, { message });
  expect(shown.body).toMatchObject({ subject: 'New Ada', html: '<p>new</p>' });
  expect((await app.api('POST', `${path}/render`, {})).body.subject).toBe('Old');
  expect((await app.api('GET', path)).body.contentRevisionId).toBe(body.contentRevisionId);
  const wrong = await app.api('POST', `${path}/render`, { message: { html: '<p>\n<a href={{ contact.x }}>' } });
  expect(wrong.status).toBe(400);
  expect(wrong.body.message).toContain('html: line 2, column 9');
  const listed = (await app.api('GET', '/email-messages')).body;
  expect(listed.data).toEqual([
    { id: body.id, subject: 'Old', transactionalId: null, createdAt: body.createdAt, updatedAt: body.updatedAt },
  ]);
});
