import { afterAll, beforeAll, describe, test } from 'vitest';
import type { ListenOptions, TlsOptions } from '../../src/platform/network.ts';
import { createNodeNetwork } from '../../src/platform/node/network.ts';
import { Authority } from '../support/certificates.ts';
import { connectPeer, type PeerOptions } from '../support/listener-peers.ts';
import { expectGoodbyeToEnd, socketContract, type SocketWorld } from './socket-contract.ts';

const PROXY_HEADER = Buffer.from('PROXY TCP4 192.0.2.7 127.0.0.1 40000 1883\r\n');
const WEB_SOCKET = {
  listen: { path: '/mqtt', maxMessageBytes: 1024 * 1024 },
  connect: { path: '/mqtt', protocols: ['mqtt'] },
};

let authority: Authority;
let tls: TlsOptions;

beforeAll(() => {
  authority = new Authority();
  const files = authority.issueServer();
  tls = {
    ...files,
    ca: undefined,
    requireClientCert: false,
    userNameFrom: undefined,
    minVersion: '1.2',
  };
});

afterAll(() => authority.remove());

interface Layers {
  readonly name: string;
  readonly proxy?: boolean;
  readonly tls?: 'TLSv1.2' | 'TLSv1.3';
  readonly webSocket?: boolean;
}

const WORLDS: readonly Layers[] = [
  { name: 'plain' },
  { name: 'PROXY', proxy: true },
  { name: 'TLS 1.3', tls: 'TLSv1.3' },
  { name: 'TLS 1.2', tls: 'TLSv1.2' },
  { name: 'WebSocket', webSocket: true },
  { name: 'PROXY and TLS', proxy: true, tls: 'TLSv1.3' },
  { name: 'PROXY and WebSocket', proxy: true, webSocket: true },
  { name: 'WebSocket over TLS', tls: 'TLSv1.3', webSocket: true },
  { name: 'PROXY, TLS and WebSocket', proxy: true, tls: 'TLSv1.2', webSocket: true },
];

function openWorld(layers: Layers): SocketWorld {
  const { proxy = false, tls: maxVersion, webSocket = false } = layers;
  const network = createNodeNetwork();
  const listenOptions: ListenOptions = {
    proxyProtocol: proxy,
    ...(maxVersion === undefined ? {} : { tls }),
    ...(webSocket ? { webSocket: WEB_SOCKET.listen } : {}),
  };
  const peerOptions: PeerOptions = {
    ...(proxy ? { proxyHeader: PROXY_HEADER } : {}),
    ...(maxVersion === undefined ? {} : { tls: { ca: authority.caText, maxVersion } }),
    ...(webSocket ? { webSocket: WEB_SOCKET.connect } : {}),
  };
  return {
    address: proxy ? '192.0.2.7' : '127.0.0.1',
    listen: (onSocket) => network.listen('127.0.0.1:0', onSocket, listenOptions),
    connect: (port) => connectPeer(port, peerOptions),
  };
}

describe.each(WORLDS)('the socket of a listener: $name', (layers) => {
  socketContract(() => openWorld(layers));
});

test('a peer that does not read its goodbye is cut after two seconds, in every world', async () => {
  await Promise.all(WORLDS.map((layers) => expectGoodbyeToEnd(openWorld(layers))));
});
