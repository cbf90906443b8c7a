import { afterAll, describe, expect, test } from 'bun:test';
import { Templates } from '../../src/templates/templates.ts';

const templates = new Templates();
afterAll(() => templates.stop());

const NOTHING = { subject: 's', previewText: '', fromName: '', html: '', text: '' };
const HOSTILE = `a&b=c#d "x' <b> onclick=alert(1)`;
const values = {
  contact: {
    name: "O'Brien & <Co>",
    hostile: HOSTILE,
    script: 'javascript:alert(1)',
    tabbed: ' java\tscript:alert(1)',
    data: 'data:text/html,<script>alert(1)</script>',
    path: 'no/scheme',
    site: 'https://a.example/?x=1&y=2',
    mail: 'mailto:a@b.example',
    phone: 'TEL:+4412345',
    lines: 'a<b>\nc',
    on: true,
  },
  event: {},
  data: {
    token: 'a+b/c==',
    rows: [
      { k: 'first name', v: 'Ann & Bo' },
      { k: 'b', v: '2' },
    ],
  },
  unsubscribeUrl: 'https://inlet.example/unsubscribe/t',
  preferencesUrl: 'https://inlet.example/preferences/t',
};

const check = (html: string) => templates.findVariables({ ...NOTHING, html }, true);
const render = async (html: string, more = {}) =>
  (await templates.render(Bun.hash(html).toString(), { ...NOTHING, html, ...more }, values)).html;

describe('an output is escaped for where it stands', () => {
  test.each([
    ['text', '<p>{{ contact.name }}</p>', '<p>O&#39;Brien &amp; &lt;Co&gt;</p>'],
    ['a quoted attribute', '<p title="{{ contact.name }}">', '<p title="O&#39;Brien &amp; &lt;Co&gt;">'],
    ['text with a < of its own', 'a < {{ contact.on }} <3', 'a < true <3'],
    ['a title', '<title>{{ contact.name }}</title>', '<title>O&#39;Brien &amp; &lt;Co&gt;</title>'],
    ['a comment', '<!-- {{ contact.data }} -->', '<!-- data:text/html,&lt;script&gt;alert(1)&lt;/script&gt; -->'],
    [
      'the query of a link',
      '<a href="https://a.example/confirm?token={{ data.token }}&type=email">',
      '<a href="https://a.example/confirm?token=a%2Bb%2Fc%3D%3D&type=email">',
    ],
    [
      'the query of a picture, in single quotes',
      "<img src='https://a.example/p.gif?u={{ contact.hostile }}'>",
      "<img src='https://a.example/p.gif?u=a%26b%3Dc%23d%20%22x&#39;%20%3Cb%3E%20onclick%3Dalert(1)'>",
    ],
    ['a fragment', '<a href="/x#{{ data.token }}">', '<a href="/x#a%2Bb%2Fc%3D%3D">'],
    ['a path', '<a href="https://a.example/{{ data.token }}">', '<a href="https://a.example/a+b/c==">'],
    [
      'the query behind a value',
      '<a href="{{ contact.mail }}?subject={{ contact.name }}">',
      '<a href="mailto:a@b.example?subject=O&#39;Brien%20%26%20%3CCo%3E">',
    ],
    ['a link', '<a href="{{ contact.site }}">', '<a href="https://a.example/?x=1&amp;y=2">'],
    ['an address', '<a href="{{ contact.mail }}">', '<a href="mailto:a@b.example">'],
    ['a number', '<a href="{{ contact.phone }}">', '<a href="TEL:+4412345">'],
    [
      'a refresh',
      '<meta http-equiv="refresh" content="0; URL={{ contact.site }}">',
      '<meta http-equiv="refresh" content="0; URL=https://a.example/?x=1&amp;y=2">',
    ],
    [
      'a loop in a query',
      '<a href="https://a.example/?{% for r in data.rows %}{{ r.k }}={{ r.v }}&{% endfor %}">',
      '<a href="https://a.example/?first%20name=Ann%20%26%20Bo&b=2&">',
    ],
    [
      'a condition between attributes',
      '<td{% if contact.on %} class="a"{% endif %} title="{{ contact.name }}">',
      '<td class="a" title="O&#39;Brien &amp; &lt;Co&gt;">',
    ],
    [
      'two ways into one query',
      '<a href="https://a.example/{% if contact.on %}?a=1{% endif %}&t={{ data.token }}">',
      '<a href="https://a.example/?a=1&t=a%2Bb%2Fc%3D%3D">',
    ],
    [
      "Outlook's conditional comment",
      '<!--[if mso]><a href="https://a.example/?t={{ data.token }}"><![endif]--><!--[if !mso]><!-->{{ contact.name }}<!--<![endif]-->',
      '<!--[if mso]><a href="https://a.example/?t=a%2Bb%2Fc%3D%3D"><![endif]--><!--[if !mso]><!-->O&#39;Brien &amp; &lt;Co&gt;<!--<![endif]-->',
    ],
    [
      'cycle and echo',
      '<i class="{% cycle contact.name, "b" %}">{% echo contact.name %}{% liquid echo contact.name | escape %}',
      `<i class="O&#39;Brien &amp; &lt;Co&gt;">${'O&#39;Brien &amp; &lt;Co&gt;'.repeat(2)}`,
    ],
  ])('%s', async (_, html, expected) => {
    await check(html);
    expect(await render(html)).toBe(expected);
  });

  test.each(['script', 'tabbed', 'data', 'path', 'hostile'])('a link never begins with %s', async name => {
    const link = `<a href="{{ contact.${name} }}"><img src=' {{ contact.${name} | raw }}'><object data="{{ contact.${name} }}"><video poster="{{ contact.${name} }}">`;
    await check(link);
    expect(await render(link)).toBe(`<a href="#"><img src=' #'><object data="#"><video poster="#">`);
    expect(await render(`<meta http-equiv=refresh content="0;url={{ contact.${name} }}">`)).toContain('url=#"');
  });

  test('not behind an empty value, nor behind the beginning of a scheme', async () => {
    expect(await render('<a href="{{ data.none }}{{ contact.script }}">')).toBe('<a href="javascript%3Aalert(1)">');
    expect(await render('<a href="{% if data.none %}https://x{% endif %}{{ contact.script }}">')).toBe(
      '<a href="javascript%3Aalert(1)">',
    );
    expect(await render('<a href="{{ contact.site }}{{ contact.path }}">')).toBe(
      '<a href="https://a.example/?x=1&amp;y=2no/scheme">',
    );
    expect(await render('<a href="{{ data.none }}">')).toBe('<a href="">');
  });
});

describe('what is escaped is not escaped again', () => {
  const once = 'O&#39;Brien &amp; &lt;Co&gt;';
  test.each([
    ['{{ contact.name | escape }}', once],
    ['{{ contact.name | xml_escape }}', once],
    ['{{ contact.name | escape_once }}', once],
    ['{{ contact.name | escape | escape }}', once],
    ['{% assign n = contact.name | escape %}{{ n }}', once],
    ['{% capture n %}<b>{{ contact.name }}</b>{% endcapture %}{{ n }}', `<b>${once}</b>`],
    ['{% capture n %}{{ contact.name }}"{% endcapture %}<p title="{{ n }}">', `<p title="${once}&#34;">`],
    ['<p title="{{ contact.name | escape }}">', `<p title="${once}">`],
    ['{{ contact.lines | newline_to_br }}', 'a&lt;b&gt;<br />\nc'],
    ['{{ contact.lines | escape | newline_to_br }}', 'a&lt;b&gt;<br />\nc'],
    ['<a href="/?q={{ data.token | url_encode }}">', '<a href="/?q=a%2Bb%2Fc%3D%3D">'],
    ['<a href="/?q={{ contact.name | escape }}">', '<a href="/?q=O&#39;Brien%20%26%20%3CCo%3E">'],
    ['{{ contact.name | raw }}', "O'Brien & <Co>"],
    ['{{ contact.lines | newline_to_br | raw }}', 'a<b><br />\nc'],
  ])('%s', async (html, expected) => expect(await render(html)).toBe(expected));

  test('the plain parts stay as they are', async () => {
    const parts = { ...NOTHING, subject: '{{ contact.name }}', text: '{{ contact.name | escape }} {{ contact.site }}' };
    const { subject, text } = await templates.render('plain', parts, values);
    expect([subject, text]).toEqual(["O'Brien & <Co>", `${once} https://a.example/?x=1&y=2`]);
  });
});

describe('where nothing can be escaped a message is refused, with line and column', () => {
  test.each([
    ['<a href={{ contact.x }}>x</a>', 1, 9, 'href="…"'],
    ['<p>\n  <a href=https://x/{{ contact.x }}>', 2, 21, 'quotes'],
    ['<a alt=">" href={{ contact.x }}>', 1, 17, 'quotes'],
    ['<a href={% if true %}{{ contact.x }}{% endif %}>', 1, 22, 'quotes'],
    ['<a href = {{ contact.x | raw }}>', 1, 11, 'quotes'],
    ['<a {{ contact.x }}>', 1, 4, 'attribute'],
    ['<a data-{{ contact.x }}="1">', 1, 9, 'attribute'],
    ['<a title="a"{{ contact.x }}>', 1, 13, 'attribute'],
    ['<{{ contact.x }}>', 1, 2, 'tag'],
    ['</{{ contact.x }}>', 1, 3, 'tag'],
    ['<h{{ contact.x }}>', 1, 3, 'tag'],
    ['<style>\np { color: {{ contact.x }} }</style>', 2, 12, '<style>'],
    ['<STYLE media=x>{{ contact.x }}', 1, 16, '<style>'],
    ['<script>/* </style> */ {{ contact.x }}</script>', 1, 24, '<script>'],
    ['<p style="color:{{ contact.x }}">', 1, 17, 'style attribute'],
    ["<p onclick='f({{ contact.x }})'>", 1, 15, 'onclick'],
    ['<iframe srcdoc="{{ contact.x }}">', 1, 17, 'srcdoc'],
    ['<a href="javascript:f({{ contact.x }})">', 1, 23, 'href'],
    ['<a href=" JavaScript:{{ contact.x }}">', 1, 22, 'href'],
    ['{% if contact.on %}<a title="{% endif %}{{ contact.x }}">', 1, 1, 'Let each close'],
    ['{% for r in data.rows %}<a title="{% endfor %}', 1, 1, 'Let each close'],
    ['<p {% if contact.on %}title{% else %}onclick{% endif %}="{{ contact.x }}">', 1, 58, 'condition'],
    ['<!-->{% echo contact.x %}<b {% echo contact.x %}-->', 1, 29, 'attribute'],
  ])('%s', async (html, line, column, word) => {
    const error = await check(html).catch(error => error);
    expect(error.code).toBe('invalid');
    expect(error.message).toStartWith(`html: line ${line}, column ${column}: `);
    expect(error.message).toContain(word);
  });

  test('what was saved before goes on being sent, and stays in its place', async () => {
    expect(await render('<a href=https://x/{{ contact.hostile }}>')).toBe(
      '<a href=https://x/a&#38;b&#61;c#d&#32;&#34;x&#39;&#32;&#60;b&#62;&#32;onclick&#61;alert&#40;1&#41;>',
    );
    expect(await render('<a href={{ contact.script }}>')).toBe('<a href=&#35;>'.replace('&#35;', '#'));
    expect(await render('<p style="color:{{ contact.on }}">')).toBe('<p style="color:true">');
  });
});

test('variables are paths, without what a template makes itself', async () => {
  const html = `{% assign a = contact.plan | append: event.x %}{{ a }}{% for r in data.rows %}{{ r.k }}{{ forloop.index }}{% if data['the key'] == data.b.c %}{% endif %}{% endfor %}
    {{ contact[data.which] }}{% capture c %}{{ event.y }}{% endcapture %}{{ c }}{% for i in (1..data.n) limit: event.z %}{{ i }}{% endfor %}{{ unsubscribeUrl }}`;
  expect(await check(html)).toEqual(
    [
      ...['contact', 'contact.plan', 'event.x', 'event.y', 'event.z', 'unsubscribeUrl'],
      ...['data.b', 'data.n', 'data.rows', 'data.the key', 'data.which'],
    ].sort(),
  );
  const error = await check('{{ user.name }}').catch(error => error);
  expect(error.message).toContain('html: {{ user }} is no variable');
});
