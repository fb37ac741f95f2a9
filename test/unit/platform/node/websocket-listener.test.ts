import { connect as connectTcp, type Socket as NetSocket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { ListenerBench } from '../../../support/listener-bench.ts';
import { waitFor } from '../../../support/wait-for.ts';

const MAX_MESSAGE_BYTES = 100_000;

let bench: ListenerBench;
let clients: { terminate?(): void; destroy?(): void }[];

beforeEach(async () => {
  bench = await ListenerBench.open({
    webSocket: { path: '/mqtt', maxMessageBytes: MAX_MESSAGE_BYTES },
  });
  clients = [];
});

afterEach(async () => {
  for (const client of clients) {
    client.terminate?.();
    client.destroy?.();
  }
  await bench.close();
});

async function open(protocols: readonly string[] = ['mqtt'], path = '/mqtt'): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${bench.port}${path}`, [...protocols]);
  clients.push(client);
  await new Promise<void>((resolve, reject) => {
    client.once('open', () => resolve());
    client.once('error', reject);
  });
  client.on('error', () => undefined);
  return client;
}

function closeCode(client: WebSocket): Promise<number> {
  return new Promise((resolve) => void client.once('close', resolve));
}

/** Sends `text` over TCP and returns all that comes until the end. */
async function ask(text: string): Promise<string> {
  const stream: NetSocket = connectTcp(bench.port, '127.0.0.1');
  clients.push(stream);
  stream.end(text);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const UPGRADE =
  'Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

describe('the subprotocol', () => {
  test.each([
    [['mqtt'], 'mqtt'],
    [['mqttv3.1'], 'mqttv3.1'],
    [['mqttv3.1', 'mqtt'], 'mqtt'],
    [['other', 'mqtt'], 'mqtt'],
  ])('of %j it is %s [MQTT-6.0.0-3] [MQTT-6.0.0-4]', async (offered, chosen) => {
    expect((await open(offered)).protocol).toBe(chosen);
  });

  test.each([[[]], [['amqp']]])('%j is refused with 400', async (offered) => {
    await expect(open(offered)).rejects.toThrow('400');
    expect(await bench.failure()).toEqual({
      layer: 'websocket',
      reason: 'The WebSocket subprotocol "mqtt" is not among those offered.',
    });
  });

  test('no extension is taken up', async () => {
    expect((await open()).extensions).toBe('');
  });
});

describe('an HTTP request that is none for MQTT is answered', () => {
  test.each([
    ['another path', `GET /other HTTP/1.1\r\n${UPGRADE}Sec-WebSocket-Protocol: mqtt\r\n\r\n`, 404],
    ['a path below', `GET /mqtt/x HTTP/1.1\r\n${UPGRADE}Sec-WebSocket-Protocol: mqtt\r\n\r\n`, 404],
    ['no upgrade', 'GET /mqtt HTTP/1.1\r\nHost: h\r\n\r\n', 426],
    ['no upgrade at another path', 'GET / HTTP/1.1\r\nHost: h\r\n\r\n', 404],
    ['a body', 'POST /mqtt HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc', 426],
    [
      'no WebSocket key',
      'GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n',
      400,
    ],
    ['no HTTP', '\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00', 400],
    ['a header without end', `GET /mqtt HTTP/1.1\r\nX: ${'x'.repeat(20_000)}`, 431],
  ])('%s', async (_, request, status) => {
    const answer = await ask(request);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer.toLowerCase()).toContain('connection: close');
    expect((await bench.failure()).layer).toBe('websocket');
  });

  test('a query behind the path does not matter', async () => {
    expect((await open(['mqtt'], '/mqtt?token=x')).protocol).toBe('mqtt');
  });

  test('a second request on the connection is not answered', async () => {
    const answer = await ask('GET / HTTP/1.1\r\nHost: h\r\n\r\n'.repeat(2));
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });
});

describe('frames', () => {
  test('many messages and fragments are one stream of bytes [MQTT-6.0.0-2]', async () => {
    const client = await open();
    client.send(Buffer.from('a'));
    client.send(Buffer.from('b'), { fin: false });
    client.ping();
    client.send(Buffer.from('c'), { fin: true });
    client.send(Buffer.from('defg'));
    await waitFor('all', () => bench.received(0).toString() === 'abcdefg');
  });

  test('a text frame ends the connection, and nothing behind it counts [MQTT-6.0.0-1]', async () => {
    const client = await open();
    const closed = closeCode(client);
    client.send(Buffer.from('a'));
    client.send('text');
    client.send(Buffer.from('b'));
    expect(await closed).toBe(1003);
    expect(bench.received(0).toString()).toBe('a');
  });

  test('a message beyond the bound ends the connection before it is whole', async () => {
    const client = await open();
    const closed = closeCode(client);
    client.send(Buffer.alloc(MAX_MESSAGE_BYTES + 1));
    expect(await closed).toBe(1009);
    expect(bench.received(0)).toHaveLength(0);
  });

  test('the largest message is let through', async () => {
    const client = await open();
    client.send(Buffer.alloc(MAX_MESSAGE_BYTES));
    await waitFor('all', () => bench.received(0).length === MAX_MESSAGE_BYTES);
  });

  test('what has come of a message that is not whole can be seen; pings do not count', async () => {
    const client = await open();
    client.send(Buffer.from('a'));
    const socket = await bench.heard(0);
    for (let round = 0; round < 20; round += 1) client.ping(Buffer.alloc(100));
    client.send(Buffer.alloc(50_000), { fin: false });
    client.ping(Buffer.alloc(100));
    await waitFor('the fragment', () => (socket.heldBytes ?? 0) >= 50_000);
    expect(socket.heldBytes).toBeLessThan(50_100);
    client.send(Buffer.from('b'), { fin: true });
    await waitFor('the rest', () => bench.received(0).length === 50_002);
    expect(socket.heldBytes).toBe(0);
  });

  test('what we send are binary messages', async () => {
    const client = await open();
    const kinds: boolean[] = [];
    client.on('message', (_, isBinary) => kinds.push(isBinary));
    client.send(Buffer.from('a'));
    const socket = await bench.heard(0);
    socket.write(Buffer.from('b'));
    socket.write(Buffer.from('c'));
    await waitFor('both', () => kinds.length === 2);
    expect(kinds).toEqual([true, true]);
  });
});
