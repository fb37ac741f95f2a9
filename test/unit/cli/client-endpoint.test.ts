import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseArguments } from '../../../src/cli/arguments.ts';
import { readEndpoint, readUrl } from '../../../src/cli/client-endpoint.ts';
import { CLIENT_OPTIONS } from '../../../src/cli/client-options.ts';

const SPEC = {
  name: 'pub',
  summary: '',
  usage: '',
  options: CLIENT_OPTIONS,
  positionals: { min: 0, max: 0 },
  examples: [],
};

let folder: string;
let pem: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cistern-endpoint-'));
  pem = join(folder, 'some.pem');
  writeFileSync(pem, 'text of a certificate');
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const endpoint = (...argv: readonly string[]) => readEndpoint(parseArguments(SPEC, argv));

describe('where to connect', () => {
  test.each([
    [[], 'mqtt', '127.0.0.1', 1883],
    [['-h', 'broker', '-p', '2883'], 'mqtt', 'broker', 2883],
    [['-h', 'broker', '-p', '8883'], 'mqtts', 'broker', 8883],
    [['--tls-use-os-certs'], 'mqtts', '127.0.0.1', 1883],
    [['-L', 'mqtt://broker'], 'mqtt', 'broker', 1883],
    [['-L', 'mqtts://broker'], 'mqtts', 'broker', 8883],
    [['-L', 'mqtts://[::1]:9'], 'mqtts', '::1', 9],
    [['-L', 'ws://broker:9001/mqtt'], 'ws', 'broker', 9001],
    [['-L', 'wss://broker/mqtt'], 'wss', 'broker', 443],
  ])('%j', async (argv, protocol, host, port) => {
    expect(await endpoint(...argv)).toMatchObject({ protocol, host, port });
  });

  test('the path of a WebSocket is kept, with its query', async () => {
    expect(await endpoint('-L', 'ws://broker/a/b?c=d')).toMatchObject({ path: '/a/b?c=d' });
  });

  test.each([
    [['-L', 'http://broker'], '-L takes'],
    [['-L', 'broker'], '-L takes'],
    [['-L', 'mqtt://broker', '-h', 'other'], 'leave out -h and -p'],
    [['-L', 'mqtt://broker', '--insecure'], 'write mqtts://'],
    [['--cert', 'c.pem'], '--cert and --key go together'],
    [['--cafile', '/nowhere/ca.pem'], '--cafile: /nowhere/ca.pem cannot be read'],
  ])('%j is not understood', async (argv, message) => {
    await expect(endpoint(...argv)).rejects.toThrow(message);
  });
});

test('what is in the files goes to TLS, over TCP and over WebSocket', async () => {
  const tls = ['--cafile', pem, '--cert', pem, '--key', pem];
  const text = 'text of a certificate';
  const found = await endpoint('-L', 'wss://broker/mqtt', ...tls);
  expect(found).toMatchObject({ ca: text, cert: text, key: text });
  expect(found.wsOptions).toMatchObject({ ca: text, cert: text, key: text });
});

test('without --cafile the authorities of the system are trusted', async () => {
  const { ca } = await endpoint('--tls-use-os-certs');
  expect(Array.isArray(ca) && ca.length > 10).toBe(true);
});

test.each([
  ['mqtt://u:p%40ss@h/a/b', { username: 'u', password: 'p@ss', topic: 'a/b' }],
  ['mqtt://h/a/%C3%BC', { username: undefined, password: undefined, topic: 'a/ü' }],
  ['mqtt://h/sensors/+/#', { topic: 'sensors/+/#' }],
  ['mqtt://h', { topic: undefined }],
  ['ws://u@h/mqtt', { username: 'u', topic: undefined }],
])('%s names user, password and topic', (url, expected) => {
  expect(readUrl(parseArguments(SPEC, ['-L', url]))).toMatchObject(expected);
});
