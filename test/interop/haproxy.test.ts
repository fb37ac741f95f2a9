import { writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureProgram } from '../../build/lib/debian.ts';
import { Authority } from '../support/certificates.ts';
import { TestProcess } from '../support/child-process.ts';
import { type Cistern, startCistern } from '../support/executable.ts';
import { freePort } from '../support/free-port.ts';
import { accepts, waitFor } from '../support/wait-for.ts';

/** How HAProxy tells who the client is, and what is behind the header. */
const WAYS = [
  { name: 'version 1', send: 'send-proxy' },
  { name: 'version 2', send: 'send-proxy-v2' },
  {
    name: 'version 2 with fields',
    send: 'send-proxy-v2 proxy-v2-options ssl,cert-cn,crc32c,unique-id',
  },
  { name: 'version 2 before TLS', send: 'send-proxy-v2', tls: true },
] as const;

const OTHER_ADDRESS = '127.0.0.2';

let authority: Authority;
let broker: Cistern;
let haproxy: TestProcess;
const fronts: number[] = [];

beforeAll(async () => {
  const program = await ensureProgram('haproxy', 'haproxy');
  authority = new Authority();
  const server = authority.issueServer();
  const backs: number[] = [];
  const listeners: string[] = ['anonymous = true'];
  for (const way of WAYS) {
    const port = await freePort();
    backs.push(port);
    fronts.push(await freePort());
    listeners.push(
      `[[listener]]\nlisten = "127.0.0.1:${port}"\nanonymous = true\nproxy_protocol = true`,
      'tls' in way ? `[listener.tls]\ncert = "${server.cert}"\nkey = "${server.key}"` : '',
    );
  }
  broker = await startCistern({ toml: listeners.join('\n') });
  const config = join(authority.folder, 'haproxy.cfg');
  const proxies = WAYS.map(({ send }, index) =>
    [
      `listen way${index}`,
      `  bind 127.0.0.1:${fronts[index]}`,
      `  server broker 127.0.0.1:${backs[index]} ${send} check check-send-proxy inter 200ms`,
    ].join('\n'),
  );
  const timeouts = 'timeout connect 2s\n  timeout client 60s\n  timeout server 60s';
  writeFileSync(config, `defaults\n  mode tcp\n  ${timeouts}\n${proxies.join('\n')}\n`);
  haproxy = new TestProcess(program, ['-db', '-f', config]);
  await waitFor('HAProxy', async () => {
    if (!haproxy.isRunning) throw new Error(`HAProxy ended:\n${haproxy.output()}`);
    return (await Promise.all(fronts.map(accepts))).every(Boolean);
  });
}, 180_000);

afterAll(async () => {
  await haproxy?.end('SIGKILL');
  await broker?.stop();
  authority?.remove();
});

describe.each(WAYS.map((way, index) => ({ ...way, index })))('HAProxy, $name', (way) => {
  test('clients get through, and what they say', async () => {
    const scheme = 'tls' in way ? 'mqtts' : 'mqtt';
    const url = `${scheme}://localhost:${fronts[way.index]}`;
    const client = await connectAsync(url, { ca: authority.caText, reconnectPeriod: 0 });
    const received: string[] = [];
    client.on('message', (_, payload) => received.push(payload.toString()));
    await client.subscribeAsync(`way/${way.index}`, { qos: 1 });
    await client.publishAsync(`way/${way.index}`, 'x', { qos: 1 });
    await waitFor('the message', () => received.length === 1);
    await client.endAsync();
  });

  test('the broker knows the client by its own address', async () => {
    const before = broker.stderr.length;
    const socket = connectTcp({
      port: fronts[way.index] ?? 0,
      host: '127.0.0.1',
      localAddress: OTHER_ADDRESS,
    });
    socket.on('error', () => undefined);
    socket.write('this is neither MQTT nor TLS');
    await waitFor('the log', () =>
      broker.stderr.slice(before).some((line) => line.includes(OTHER_ADDRESS)),
    );
    socket.destroy();
  });
});

test('health checks are no failed handshakes', async () => {
  const { clients } = await broker.status<{
    clients: { turnedAway: Readonly<Record<string, number>> };
  }>();
  expect(clients.turnedAway['proxy_handshake']).toBeUndefined();
});
