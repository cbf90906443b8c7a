import type { MailContent } from '../db/schema.ts';
import type { Rendered, Templates, Values } from '../templates/templates.ts';
import type { MessageRow } from './messages.ts';

const FALLBACKS = {
  contact: 'contactPropertiesFallbacks',
  event: 'eventPropertiesFallbacks',
  data: 'dataVariablesFallbacks',
} as const;

/** The values with the message's fallbacks where there is none. */
function fillIn(content: MailContent, values: Values): Values {
  const out = { ...values };
  for (const [group, key] of Object.entries(FALLBACKS) as [keyof typeof FALLBACKS, (typeof FALLBACKS)['data']][]) {
    const own = { ...values[group] };
    for (const [name, fallback] of Object.entries(content[key]))
      if (own[name] === undefined || own[name] === null || own[name] === '') own[name] = fallback;
    out[group] = own;
  }
  return out;
}

/** Fills in a message's variables, escaped for where they stand. @throws AppError invalid naming the part; Overdue */
export function renderMessage(templates: Templates, message: MessageRow, values: Values): Promise<Rendered> {
  return templates.render(message.revisionId, message.content, fillIn(message.content, values));
}
