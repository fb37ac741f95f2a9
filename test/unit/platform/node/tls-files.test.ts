import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readTlsFiles, type TlsFiles } from '../../../../src/platform/node/tls-files.ts';
import { Authority, type CertificateFiles } from '../../../support/certificates.ts';

let authority: Authority;
let server: CertificateFiles;

beforeAll(() => {
  authority = new Authority();
  server = authority.issueServer();
});

afterAll(() => authority.remove());

async function problems(files: Partial<TlsFiles>): Promise<string[]> {
  const all = { ...server, ca: undefined, ...files };
  const reading = await readTlsFiles(all, Date.now());
  const hasErrors = reading.problems.some(({ severity }) => severity === 'error');
  expect(reading.material === undefined).toBe(hasErrors);
  for (const { remedy } of reading.problems) expect(remedy).toMatch(/^[A-Z].+\.$/);
  return reading.problems.map(({ severity, key, message }) => `${severity} ${key}: ${message}`);
}

function file(name: string, text: string): string {
  const path = join(authority.folder, name);
  writeFileSync(path, text);
  return path;
}

test('a certificate, its key and an authority that belong together', async () => {
  expect(await problems({ ca: authority.ca })).toEqual([]);
});

test('the certificate may be followed by others, and by words', async () => {
  const chain = file(
    'chain.pem',
    `${readFileSync(server.cert, 'utf8')}\n# CA\n${authority.caText}`,
  );
  expect(await problems({ cert: chain })).toEqual([]);
});

test('files that are not there', async () => {
  expect(await problems({ cert: '/nowhere/cert.pem', key: '/nowhere/key.pem' })).toEqual([
    'error cert: /nowhere/cert.pem does not exist',
    'error key: /nowhere/key.pem does not exist',
  ]);
});

test('files that hold something else', async () => {
  const empty = file('empty.pem', '');
  expect(await problems({ cert: server.key, key: server.cert, ca: empty })).toEqual([
    `error cert: ${server.key} has no certificate in it`,
    `error key: ${server.cert} has no private key in it that can be used`,
    `error ca: ${empty} has no certificate in it`,
  ]);
});

test('a certificate that is cut short', async () => {
  const text = readFileSync(server.cert, 'utf8');
  const damaged = file('damaged.pem', text.replace(/\n.{20}/, '\n'));
  expect(await problems({ cert: damaged })).toEqual([
    `error cert: ${damaged} has a certificate that is damaged`,
  ]);
});

test('a key of another certificate', async () => {
  const other = authority.issueServer();
  expect(await problems({ key: other.key })).toEqual([
    `error key: ${other.key} is not the key of the certificate in ${server.cert}`,
  ]);
});

test('a key with a passphrase', async () => {
  const path = join(authority.folder, 'secret.key');
  const args = ['pkcs8', '-topk8', '-in', server.key, '-passout', 'pass:word', '-out', path];
  execFileSync('openssl', args);
  expect(await problems({ key: path })).toEqual([
    `error key: ${path} is protected by a passphrase`,
  ]);
});

test('a certificate that has ended is a warning: the clock may be wrong', async () => {
  const ended = authority.issueServer({ endsAt: '20250131000000Z' });
  expect(await problems(ended)).toEqual([
    `warning cert: ${ended.cert} ended on 2025-01-31, and clients refuse it`,
  ]);
});

test('a clock before the certificate, and one shortly before its end', async () => {
  const files = { ...server, ca: undefined };
  const [early] = (await readTlsFiles(files, Date.UTC(1970, 0, 2))).problems;
  expect(early?.message).toMatch(/ begins only on \d{4}-\d\d-\d\d$/);
  expect(early?.remedy).toBe(
    "Set the clock, or wait until then. By this machine's clock it is 1970-01-02.",
  );
  const { material } = await readTlsFiles(files, Date.now());
  const [late] = (await readTlsFiles(files, (material?.endsMs ?? 0) - 3_600_000)).problems;
  expect(late?.message).toMatch(/ ends on \d{4}-\d\d-\d\d$/);
});
