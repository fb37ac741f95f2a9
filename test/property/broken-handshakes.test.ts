import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ListenOptions } from '../../src/platform/network.ts';
import { createNodeNetwork } from '../../src/platform/node/network.ts';
import { Authority } from '../support/certificates.ts';
import { tlsOptions } from '../support/listener-bench.ts';
import { connectPeer } from '../support/listener-peers.ts';
import { waitFor } from '../support/wait-for.ts';

const PROXY = Buffer.from('PROXY TCP4 192.0.2.7 127.0.0.1 40000 1883\r\n');
const UPGRADE = Buffer.from(
  'GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
    'Sec-WebSocket-Protocol: mqtt\r\n\r\n',
);

let authority: Authority;
let layers: ListenOptions;

beforeAll(() => {
  authority = new Authority();
  layers = {
    proxyProtocol: true,
    tls: tlsOptions(authority.issueServer()),
    webSocket: { path: '/mqtt', maxMessageBytes: 10_000 },
  };
});

afterAll(() => authority.remove());

/** What one peer does: how deep it gets by the rules, then its bytes, then its end. */
interface Attempt {
  readonly depth: 'tcp' | 'proxy' | 'tls' | 'websocket';
  readonly bytes: Buffer;
  readonly ending: 'reset' | 'end' | 'wait then reset';
}

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map((data) => Buffer.from(data)),
  fc.nat(PROXY.length).map((length) => PROXY.subarray(0, length)),
  fc.nat(UPGRADE.length).map((length) => UPGRADE.subarray(0, length)),
  // A TLS record that begins like a handshake, and a request for another path.
  fc
    .uint8Array({ maxLength: 100 })
    .map((data) => Buffer.from([0x16, 3, 1, 0, data.length, ...data])),
  fc.constant(Buffer.from(UPGRADE.toString().replace('/mqtt', '/other'))),
);

const attempt: fc.Arbitrary<Attempt> = fc.record({
  depth: fc.constantFrom('tcp', 'proxy', 'tls', 'websocket'),
  bytes,
  ending: fc.constantFrom('reset', 'end', 'wait then reset'),
});

async function perform(port: number, { depth, bytes: data, ending }: Attempt): Promise<void> {
  const raw = connectTcp(port, '127.0.0.1');
  raw.on('error', () => undefined);
  if (depth !== 'tcp') raw.write(PROXY);
  let stream = raw;
  if (depth === 'tls' || depth === 'websocket') {
    const options = { socket: raw, ca: authority.caText, servername: 'localhost' };
    stream = connectTls(options);
    stream.on('error', () => undefined);
    await new Promise((resolve) => {
      stream.once('secureConnect', resolve);
      stream.once('close', resolve);
    });
  }
  if (depth === 'websocket') stream.write(UPGRADE);
  stream.write(data);
  if (ending === 'end') stream.end();
  await new Promise((resolve) => void setTimeout(resolve, ending === 'reset' ? 0 : 5));
  raw.resetAndDestroy();
}

test('handshakes broken in any way: every socket is closed once, and the next peer is served', async () => {
  let opened = 0;
  let closed = 0;
  const heard: string[] = [];
  const listener = await createNodeNetwork().listen(
    '127.0.0.1:0',
    (socket) => {
      opened += 1;
      socket.onData = (chunk) => heard.push(Buffer.from(chunk).toString());
      socket.onClose = () => {
        closed += 1;
      };
    },
    layers,
  );
  const port = Number(/:(\d+)$/.exec(listener.address)?.[1]);
  const attempts = fc.sample(attempt, { numRuns: 300, seed: 1 });
  for (let at = 0; at < attempts.length; at += 20) {
    await Promise.all(attempts.slice(at, at + 20).map((each) => perform(port, each)));
  }
  await waitFor('all to be closed', () => closed === attempts.length);
  expect(opened).toBe(attempts.length);
  const peer = await connectPeer(port, {
    proxyHeader: PROXY,
    tls: { ca: authority.caText },
    webSocket: { path: '/mqtt', protocols: ['mqtt'] },
  });
  peer.send(Buffer.from('served'));
  await waitFor('the peer to be heard', () => heard.at(-1) === 'served');
  peer.close();
  await waitFor('its end', () => closed === attempts.length + 1);
  await listener.close();
});
