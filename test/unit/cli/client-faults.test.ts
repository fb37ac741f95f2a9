import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { readFileSync } from 'node:fs';
import { parser } from 'mqtt-packet';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { cli } from '../../../src/cli/main.ts';
import { Authority, type CertificateFiles } from '../../support/certificates.ts';
import { TestIo } from './test-io.ts';

const closers: (() => unknown)[] = [];

let authority: Authority;
let certificate: CertificateFiles;

beforeAll(() => {
  authority = new Authority();
  certificate = authority.issueServer();
});

afterAll(() => authority.remove());

afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  closers.push(() => void server.close());
  return String((server.address() as AddressInfo).port);
}

/**
 * A 5.0 broker that lets everybody in and answers PUBLISH and SUBSCRIBE with these bytes, in which it
 * puts the packet identifier behind the first two.
 */
function startBroker(answer: readonly number[]): Promise<string> {
  const serve = (socket: Socket): void => {
    const packets = parser({ protocolVersion: 5 });
    closers.push(() => void socket.destroy());
    socket.on('error', () => socket.destroy());
    packets.on('packet', ({ cmd, messageId = 0 }) => {
      if (cmd === 'connect') socket.write(Uint8Array.of(0x20, 3, 0, 0, 0));
      if (cmd !== 'publish' && cmd !== 'subscribe') return;
      const [header = 0, length = 0, ...rest] = answer;
      socket.write(Uint8Array.of(header, length, messageId >> 8, messageId & 0xff, ...rest));
    });
    socket.on('data', (chunk) => packets.parse(chunk));
  };
  return listen(createServer(serve));
}

function startTls(): Promise<string> {
  const options = { cert: readFileSync(certificate.cert), key: readFileSync(certificate.key) };
  const server = createTlsServer(options, (socket) => socket.on('error', () => socket.destroy()));
  server.on('tlsClientError', (_, socket) => void socket.destroy());
  return listen(server);
}

async function run(...argv: readonly string[]): Promise<{ code: number; err: string }> {
  const io = new TestIo();
  const code = await cli(argv, io);
  return { code, err: io.err };
}

const pub = (port: string, ...more: readonly string[]) =>
  run('pub', '-p', port, '-V', '5', '-t', 'a', '-m', 'x', '-q', '1', ...more);

test.each(['1', '2'])(
  'pub says why the broker takes no message of QoS %s, also with a code that 5.0 has not there',
  async (qos) => {
    const port = await startBroker([qos === '1' ? 0x40 : 0x50, 3, 0x95]);
    expect(await pub(port, '-q', qos)).toEqual({
      code: 1,
      err: 'BROKER_REFUSED: The broker did not take the message: Packet too large (0x95).\n',
    });
  },
);

test('pub ends at an answer that cannot be read', async () => {
  const port = await startBroker([0x40, 3, 0x42]);
  const { code, err } = await pub(port);
  expect(code).toBe(1);
  expect(err).toMatch(/^BROKER_UNREACHABLE: .*is not MQTT.*: Invalid puback reason code\.\n$/);
});

test('sub ends at an answer that cannot be read, and does not try again', async () => {
  const port = await startBroker([0x90, 4, 0, 0x42]);
  const { code, err } = await run('sub', '-p', port, '-V', '5', '-t', 'a');
  expect(code).toBe(1);
  expect(err).toMatch(/^BROKER_UNREACHABLE: .*is not MQTT.*: Invalid suback code\.\n$/);
});

test('sub ends at a message that cannot be read', async () => {
  // The SUBACK, then a PUBLISH with a property that there is not.
  const port = await startBroker([0x90, 4, 0, 0, 0x30, 6, 0, 1, 0x61, 2, 0x7f, 0]);
  const { code, err } = await run('sub', '-p', port, '-V', '5', '-t', 'a');
  expect(code).toBe(1);
  expect(err).toMatch(/^BROKER_UNREACHABLE: .*is not MQTT.*: Unknown property\.\n$/);
});

test('a certificate that is not trusted is called so, with our options', async () => {
  const { code, err } = await pub(await startTls(), '--tls-use-os-certs');
  expect(code).toBe(1);
  expect(err).toMatch(/^BROKER_UNREACHABLE: The certificate of the broker at .* is not trusted: /);
  expect(err).toMatch(/\n.*--cafile.*--tls-use-os-certs/);
  expect(err).not.toContain('Node');
});

test('a certificate for another host is called so', async () => {
  const other = authority.issue({ subject: '/CN=x', alternativeNames: 'DNS:elsewhere.example' });
  certificate = other;
  const { err } = await pub(await startTls(), '--cafile', authority.ca);
  certificate = authority.issueServer();
  expect(err).toMatch(/is for another host: .*\n.*--insecure/);
});

test('without TLS at a port with TLS, the port may want it', async () => {
  const { code, err } = await pub(await startTls());
  expect(code).toBe(1);
  expect(err).toMatch(/^BROKER_UNREACHABLE: .*\nThe port may want TLS: give --cafile or /);
});

test('with TLS at a port without, the port may be one without', async () => {
  const port = await listen(
    createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('data', () => socket.destroy());
    }),
  );
  const { code, err } = await pub(port, '--cafile', authority.ca);
  expect(code).toBe(1);
  expect(err).toMatch(/^BROKER_UNREACHABLE: .*\nThe port may be one without TLS: /);
});
