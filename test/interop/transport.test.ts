import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect as connectMqtt, type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Authority, type CertificateFiles } from '../support/certificates.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { freePort } from '../support/free-port.ts';
import { assertRunning } from '../support/last-words.ts';
import { waitFor } from '../support/wait-for.ts';

let authority: Authority;
let device: CertificateFiles;
let broker: Cistern;
let ports: {
  readonly tls: number;
  readonly mutual: number;
  readonly ws: number;
  readonly wss: number;
};
const clients: MqttClient[] = [];

beforeAll(async () => {
  authority = new Authority();
  const server = authority.issueServer();
  device = authority.issue({ subject: '/CN=device-7' });
  ports = {
    tls: await freePort(),
    mutual: await freePort(),
    ws: await freePort(),
    wss: await freePort(),
  };
  const pair = `cert = "${server.cert}"\nkey = "${server.key}"\n`;
  const listener = (port: number, more: string): string =>
    `[[listener]]\nlisten = "127.0.0.1:${port}"\nanonymous = true\n${more}`;
  broker = await startCistern({
    toml: [
      'anonymous = true',
      listener(ports.tls, `[listener.tls]\n${pair}`),
      listener(
        ports.mutual,
        `[listener.tls]\n${pair}ca = "${authority.ca}"\nrequire_client_cert = true\nuser_name_from = "cn"\n`,
      ),
      listener(ports.ws, 'protocol = "ws"\n'),
      listener(ports.wss, `protocol = "ws"\npath = "/gateway"\n[listener.tls]\n${pair}`),
    ].join('\n'),
  });
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
  assertRunning(broker);
});

afterAll(async () => {
  await broker?.stop();
  authority.remove();
});

async function connect(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = connectMqtt(url, { ca: authority.caText, reconnectPeriod: 0, ...options });
  clients.push(client);
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve());
    client.once('error', reject);
    client.once('close', () => reject(new Error('closed')));
  });
  client.on('error', () => undefined);
  return client;
}

interface Result {
  readonly code: number;
  readonly output: string;
}

function run(program: string, args: readonly string[]): Promise<Result> {
  return new Promise((resolve) => {
    execFile(program, [...args], { timeout: 15_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, output: `${stdout}${stderr}` });
    });
  });
}

describe('MQTT.js', () => {
  test.each([4, 5] as const)('level %i over TCP, TLS, WebSocket and both', async (version) => {
    const urls = [
      `mqtt://127.0.0.1:${broker.mqttPort}`,
      `mqtts://localhost:${ports.tls}`,
      `ws://localhost:${ports.ws}/mqtt`,
      `wss://localhost:${ports.wss}/gateway`,
    ];
    const members = await Promise.all(
      urls.map((url) => connect(url, { protocolVersion: version })),
    );
    const received: string[][] = urls.map(() => []);
    for (const [index, member] of members.entries()) {
      member.on('message', (_, payload) => received[index]?.push(`${payload.length}`));
      await member.subscribeAsync(`all/${version}`, { qos: 2 });
    }
    // Beyond one TLS record, one WebSocket frame of 16 bits and one read of 64 KiB.
    const sizes = [0, 1, 20_000, 200_000];
    for (const [index, member] of members.entries()) {
      const payload = Buffer.alloc(sizes[index] ?? 0, index);
      await member.publishAsync(`all/${version}`, payload, { qos: 2 });
    }
    await waitFor('all of them', () => received.every((each) => each.length === 4));
    for (const each of received) expect(each).toEqual(sizes.map(String));
  });

  test('a will is sent for one whose WebSocket breaks', async () => {
    const watcher = await connect(`mqtts://localhost:${ports.tls}`);
    const wills: string[] = [];
    watcher.on('message', (topic) => wills.push(topic));
    await watcher.subscribeAsync('will/#', { qos: 1 });
    const mortal = await connect(`ws://localhost:${ports.ws}/mqtt`, {
      will: { topic: 'will/ws', payload: Buffer.from('gone'), qos: 1, retain: false },
    });
    mortal.stream.destroy();
    await waitFor('the will', () => wills.includes('will/ws'));
  });

  test('the status names each way in, and who came by it', async () => {
    await connect(`wss://localhost:${ports.wss}/gateway`);
    const { listeners } = await broker.status<{
      listeners: { protocol: string; address: string; connections: number }[];
    }>();
    expect(listeners.map(({ protocol }) => protocol)).toEqual([
      'mqtt',
      'mqtts',
      'mqtts',
      'ws',
      'wss',
    ]);
    expect(listeners[4]).toEqual({
      protocol: 'wss',
      address: `127.0.0.1:${ports.wss}`,
      connections: 1,
    });
  });
});

describe.each([
  ['mosquitto_pub', async () => ['mosquitto_pub']],
  ['cistern pub', async () => [executablePath(), 'pub']],
] as const)('%s over TLS', (_, program) => {
  async function publish(port: number, ...args: readonly string[]): Promise<Result> {
    const [file = '', ...before] = await program();
    const fixed = ['-h', 'localhost', '-p', `${port}`, '-t', 'a', '-m', 'x', '-q', '1'];
    return run(file, [...before, ...fixed, ...args]);
  }

  test('with the authority it trusts the broker, and the message is acknowledged', async () => {
    expect(await publish(ports.tls, '--cafile', authority.ca)).toEqual({ code: 0, output: '' });
  });

  test('with another authority it does not', async () => {
    const other = new Authority();
    const { code } = await publish(ports.tls, '--cafile', other.ca);
    other.remove();
    expect(code).not.toBe(0);
  });

  test('--insecure does not mind the name in the certificate', async () => {
    const host = ['-h', '127.0.0.1', '--cafile', authority.ca];
    expect((await publish(ports.tls, ...host, '--insecure')).code).toBe(0);
  });

  test('a client certificate lets it in where one is required, and none does not', async () => {
    const trust = ['--cafile', authority.ca];
    const own = ['--cert', device.cert, '--key', device.key];
    expect((await publish(ports.mutual, ...trust, ...own)).code).toBe(0);
    expect((await publish(ports.mutual, ...trust)).code).not.toBe(0);
  });
});

test('cistern pub and sub over WebSocket, with and without TLS', async () => {
  const program = executablePath();
  const watcher = await connect(`mqtts://localhost:${ports.tls}`, {
    key: readFileSync(device.key),
  });
  const received: string[] = [];
  watcher.on('message', (_, payload) => received.push(payload.toString()));
  await watcher.subscribeAsync('by/url', { qos: 1 });
  const message = ['-t', 'by/url', '-q', '1', '-m'];
  const plain = ['pub', '--url', `ws://localhost:${ports.ws}/mqtt`, ...message, 'ws'];
  const secure = ['pub', '--url', `wss://localhost:${ports.wss}/gateway`, ...message, 'wss'];
  expect(await run(program, plain)).toEqual({ code: 0, output: '' });
  expect(await run(program, [...secure, '--cafile', authority.ca])).toEqual({
    code: 0,
    output: '',
  });
  await waitFor('both', () => received.length === 2);
  expect(received).toEqual(['ws', 'wss']);
});
