import { linkTo } from '../router.ts';
import { Time } from '../ui.tsx';
import type { Claim, FieldExplained } from './explained.ts';

const NAMES: Record<string, string> = {
  email: 'Address',
  firstName: 'First name',
  lastName: 'Last name',
  userId: 'User id',
  userGroup: 'Group',
  source: 'Source',
  subscribed: 'Gets mail',
};

/** A field as people call it; of a list its name. */
function nameField(field: string, lists: Map<string, string>): string {
  if (field.startsWith('lists.')) return `List ${lists.get(field.slice('lists.'.length)) ?? field}`;
  return NAMES[field] ?? field.replace(/^properties\./, '');
}

const sayValue = (value: Claim['value']): string => (value === null || value === '' ? 'nothing' : String(value));

interface Props {
  fields: FieldExplained[];
  lists: Map<string, string>;
}

/** Fields of which nobody says anything are left out. */
const isSaid = ({ won, lost }: FieldExplained): boolean => won !== null || lost.length > 0;

/** Of each field: what shows and by which rule, who said it and when, and what others say. */
export function Provenance({ fields, lists }: Props) {
  return (
    <div class="provenance">
      {fields.filter(isSaid).map(each => (
        <details key={each.field} class={each.won?.own ? 'own' : ''}>
          <summary>
            <strong>{nameField(each.field, lists)}</strong>: {sayValue(each.value)}
            {each.won?.own && <span class="chip good">from this webhook</span>}
            {each.lost.some(claim => claim.own) && <span class="chip calm">this webhook says otherwise</span>}
            <span class="says faint">{each.sentence}</span>
          </summary>
          {each.won && (
            <p>
              Said by <Source claim={each.won} />
            </p>
          )}
          {each.lost.length > 0 && (
            <ul class="steps">
              {each.lost.map((claim, at) => (
                <li key={at}>
                  <s>{sayValue(claim.value)}</s> by <Source claim={claim} />
                  {claim.sentence && <span class="says">{claim.sentence}</span>}
                </li>
              ))}
              {each.omitted > 0 && <li class="faint">and {each.omitted} older ones</li>}
            </ul>
          )}
        </details>
      ))}
    </div>
  );
}

function Source({ claim }: { claim: Claim }) {
  return (
    <>
      <code>{claim.identityId}</code> {claim.via === 'webhook' ? '' : `(${claim.via}) `}
      {claim.deliveryId !== null && (
        <>
          in <a href={linkTo(['deliveries', claim.deliveryId])}>{claim.type ?? 'a webhook'}</a>{' '}
        </>
      )}
      <Time at={claim.at} />
    </>
  );
}
