import { connect as connectTcp, type Socket as NetSocket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ListenerBench } from '../../../support/listener-bench.ts';
import { waitFor } from '../../../support/wait-for.ts';

const HEADER = 'PROXY TCP4 192.0.2.7 127.0.0.1 40000 1883\r\n';

let bench: ListenerBench;
let clients: NetSocket[];

beforeEach(async () => {
  bench = await ListenerBench.open({ proxyProtocol: true });
  clients = [];
});

afterEach(async () => {
  for (const client of clients) client.destroy();
  await bench.close();
});

function client(): NetSocket {
  const socket = connectTcp({ port: bench.port, host: '127.0.0.1', noDelay: true });
  socket.on('error', () => undefined);
  clients.push(socket);
  return socket;
}

test('header and first packet in one segment: the client is who the proxy says', async () => {
  client().write(`${HEADER}packet`);
  const { remoteAddress, remotePort } = await bench.heard(0);
  expect([remoteAddress, remotePort]).toEqual(['192.0.2.7', 40_000]);
  expect(bench.received(0).toString()).toBe('packet');
});

test('a header that comes byte by byte', async () => {
  const socket = client();
  for (const byte of Buffer.from(`${HEADER}packet`)) {
    socket.write(Buffer.of(byte));
    await new Promise((resolve) => void setTimeout(resolve, 1));
  }
  await waitFor('the packet', () => bench.received(0).toString() === 'packet');
  expect(bench.sockets[0]?.remoteAddress).toBe('192.0.2.7');
});

test('a proxy that speaks for itself: the address of the connection holds', async () => {
  client().write('PROXY UNKNOWN\r\npacket');
  expect((await bench.heard(0)).remoteAddress).toBe('127.0.0.1');
});

test.each([
  ['no header', '\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00', /does not begin/],
  ['a header without end', `PROXY TCP4 ${'1'.repeat(200)}`, /does not end/],
])('%s: the connection is closed and noted', async (_, text, reason) => {
  const socket = client();
  socket.write(text, 'latin1');
  const failure = await bench.failure();
  expect(failure.layer).toBe('proxy');
  expect(failure.reason).toMatch(reason);
  await waitFor('the end', () => socket.destroyed);
  expect(bench.received(0)).toHaveLength(0);
});

test('one that says nothing is closed when its owner has waited long enough', async () => {
  const socket = client();
  await waitFor('the socket', () => bench.sockets.length === 1);
  let closes = 0;
  const [waiting] = bench.sockets;
  if (waiting !== undefined) waiting.onClose = () => (closes += 1);
  waiting?.end();
  await waitFor('the end', () => socket.destroyed && closes === 1);
  expect(bench.failures).toEqual([]);
});

test('a pause that is asked for before the header is through holds', async () => {
  const socket = client();
  await waitFor('the socket', () => bench.sockets.length === 1);
  bench.sockets[0]?.pause();
  socket.write(`${HEADER}packet`);
  await waitFor('the header', () => bench.sockets[0]?.remoteAddress === '192.0.2.7');
  await new Promise((resolve) => void setTimeout(resolve, 20));
  expect(bench.received(0)).toHaveLength(0);
  bench.sockets[0]?.resume();
  expect(await bench.heard(0)).toBeDefined();
});
