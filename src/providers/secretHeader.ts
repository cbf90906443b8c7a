import { z } from 'zod';
import { type RawRequest, type Secret, Unverified } from './provider.ts';
import { areTextsEqual, filterUsable } from './signatures.ts';

/** Of providers that sign nothing: their only proof is a header with a secret of ours. */
export const SECRET_HEADER = 'x-inlet-secret';

const TAKEN =
  /^(authorization|cookie|host|user-agent|connection|keep-alive|upgrade|trailer|expect|date|via|forwarded|origin|referer|(content|accept|proxy|transfer|sec|if|cf|svix|webhook)(-.*)?|x-(forwarded|real|request).*)$/;

/** Setting: which header it is. */
export const headerName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{2,63}$/, 'must be a lower-case header name such as x-inlet-secret')
  .refine(
    name => !TAKEN.test(name), // the log shows some of these, and proxies change others
    'is taken; use a name of its own, such as x-inlet-secret',
  )
  .default(SECRET_HEADER)
  .describe('Header that carries the secret');

/** The secret of this endpoint that was given, in constant time. `place` is where it stood. @throws Unverified */
export function findGivenSecret(secrets: Secret[], given: string, place: string): Secret {
  let found: Secret | undefined;
  for (const secret of filterUsable(secrets)) if (areTextsEqual(secret.value, given)) found ??= secret;
  if (!found) throw new Unverified('badSignature', `the ${place} header does not hold a secret of this endpoint`);
  return found;
}

/** What stands in a header that must be there once. @throws Unverified */
export function readSecretHeader(req: RawRequest, name: string): string {
  const given = Object.hasOwn(req.headers, name) ? req.headers[name] : undefined;
  if (!given) throw new Unverified('missingHeader', `no ${name} header`);
  if (given.includes(', ')) throw new Unverified('doubledHeader', `the ${name} header came more than once`);
  return given;
}
