import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** Seals secrets for the database. `context` (the row's id) is bound to the text: moved to another row it does not open. */
export interface Sealer {
  seal(plain: string, context: string): string;
  /** @throws Error when the key or the context is another one, or the text was changed */
  open(sealed: string, context: string): string;
  /** Tells keys apart without telling anything about them: 16 hex characters. */
  fingerprint: string;
}

const VERSION = 'v1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** AES-256-GCM with a random nonce: `v1.` and base64url of nonce, tag, ciphertext. `key` has 32 bytes. */
export function makeSealer(key: Uint8Array): Sealer {
  if (key.length !== 32) throw new Error('The sealing key must have 32 bytes');
  return {
    fingerprint: createHash('sha256').update('inlet-secret-key').update(key).digest('hex').slice(0, 16),
    seal(plain, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context));
      const text = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()]);
      return `${VERSION}.${Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url')}`;
    },
    open(sealed, context) {
      const [version, data = ''] = sealed.split('.');
      const bytes = Buffer.from(data, 'base64url');
      if (version !== VERSION || bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('This is not a sealed secret');
      const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(context)).setAuthTag(tag);
      return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
    },
  };
}
