import type { MailContent } from '../db/schema.ts';

const PARTS = ['subject', 'previewText', 'fromName', 'html', 'text'] as const;
/** As Loops writes them: `{firstName}`, `{contact.firstName}`, `{DATA_VARIABLE:url}`, `{EVENT_PROPERTY:plan}`, `{unsubscribe_link}`. */
const TAG =
  /(?<![{%\\$])\{(?:(contact|event|data|DATA_VARIABLE|EVENT_PROPERTY|CONTACT_PROPERTY)[.:])?([A-Za-z]\w{0,99})\}(?!\})/g;
const GROUPS: Record<string, string> = { DATA_VARIABLE: 'data', EVENT_PROPERTY: 'event', CONTACT_PROPERTY: 'contact' };
const MAX_WARNINGS = 20;

/** What this would be here. */
function translateTag(group: string | undefined, name: string): string {
  if (/^unsubscribe/i.test(name)) return '{{ unsubscribeUrl }}';
  if (/^(manage_?)?preferences?/i.test(name)) return '{{ preferencesUrl }}';
  return `{{ ${group === undefined ? 'contact' : (GROUPS[group] ?? group)}.${name} }}`;
}

/** Warns of variables in Loops' spelling, which go out as they stand. */
export function findForeignTags(content: MailContent) {
  const found = PARTS.flatMap(part =>
    [...content[part].matchAll(TAG)].map(
      ([tag, group, name = '']) =>
        `${part}: ${tag} is no variable here and goes out as it stands. Write ${translateTag(group, name)}.`,
    ),
  );
  return [...new Set(found)]
    .slice(0, MAX_WARNINGS)
    .map(message => ({ rule: 'foreignMergeTag', severity: 'warning' as const, message }));
}
