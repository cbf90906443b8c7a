import type { SmtpServer } from '../../variables.ts';
import { smtp } from './smtp.ts';
import type { Transport, TransportKind } from './transport.ts';

/** Every kind of transport. A new one is its file, a line here, and its scheme among those that the variable takes. */
const KINDS: TransportKind[] = [smtp];

/** Opens the transport of the URL's scheme; it connects when it has something to send. */
export function openTransport(server: SmtpServer): Transport {
  const scheme = server.scheme ?? (server.secure ? 'smtps' : 'smtp');
  const kind = KINDS.find(each => each.schemes.includes(scheme));
  if (!kind) throw new Error(`no transport for ${scheme}:`);
  return kind.open(server);
}
