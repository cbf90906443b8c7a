import { chmodSync, chownSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const NOBODY = 65534; // whom test/support/postgres.ts runs the server as when we are root
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export const withOpenssl = Bun.which('openssl') !== null;

/** A folder with `server.pem` and `server.key` for `localhost`, signed by `ca.pem`, and the CA `other.pem` that signed nothing. */
export function certificates(): string {
  const folder = mkdtempSync(join(tmpdir(), 'inlet-tls-'));
  chmodSync(folder, 0o755); // the server runs as another user
  const openssl = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(['openssl', ...args], { cwd: folder, stdout: 'ignore', stderr: 'pipe' });
    if (exitCode !== 0) throw new Error(`openssl failed: ${stderr}`);
  };
  for (const name of ['ca', 'other']) {
    const subject = ['-subj', `/CN=Inlet test ${name}`, '-addext', 'basicConstraints=critical,CA:TRUE'];
    openssl('req', '-x509', ...EC, '-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '2', ...subject);
  }
  openssl('req', ...EC, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost');
  writeFileSync(join(folder, 'names'), 'subjectAltName=DNS:localhost\n');
  const signer = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
  openssl('x509', '-req', '-in', 'server.csr', ...signer, '-out', 'server.pem');
  chmodSync(join(folder, 'server.key'), 0o600);
  if (process.getuid?.() === 0) chownSync(join(folder, 'server.key'), NOBODY, NOBODY);
  return folder;
}
