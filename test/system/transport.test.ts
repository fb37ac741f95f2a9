import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Authority, type CertificateFiles } from '../support/certificates.ts';
import { TestProcess } from '../support/child-process.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { freePort } from '../support/free-port.ts';
import { waitFor } from '../support/wait-for.ts';

const BAD_CONFIGURATION = 3;

interface Status {
  readonly alarms: readonly { readonly code: string; readonly message: string }[];
  readonly clients: { readonly turnedAway: Readonly<Record<string, number>> };
}

let authority: Authority;
const undo: (() => unknown)[] = [];

beforeAll(() => {
  authority = new Authority();
});

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

afterAll(() => authority.remove());

async function start(toml: string): Promise<Cistern> {
  const broker = await startCistern({ toml: `anonymous = true\n${toml}` });
  undo.push(() => broker.stop());
  return broker;
}

function listener(port: number, more: string): string {
  return `[[listener]]\nlisten = "127.0.0.1:${port}"\nanonymous = true\n${more}\n`;
}

function tls({ cert, key }: CertificateFiles): string {
  return `[listener.tls]\ncert = "${cert}"\nkey = "${key}"`;
}

/** A pair of files that the test may replace, as an administrator or a renewal program does. */
async function servedFiles(): Promise<CertificateFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'cistern-served-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  install(authority.issueServer(), files);
  return files;
}

function install(from: CertificateFiles, to: CertificateFiles): void {
  copyFileSync(from.cert, to.cert);
  copyFileSync(from.key, to.key);
}

async function serialOf(port: number): Promise<string> {
  const client = connectTls({
    port,
    host: '127.0.0.1',
    ca: authority.caText,
    servername: 'localhost',
  });
  await new Promise<void>((resolve, reject) => {
    client.once('secureConnect', () => resolve());
    client.once('error', reject);
  });
  const { serialNumber } = client.getPeerCertificate();
  client.destroy();
  return serialNumber;
}

async function connect(url: string, more: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(url, { ca: authority.caText, reconnectPeriod: 0, ...more });
  client.on('error', () => undefined);
  undo.push(() => client.endAsync(true));
  return client;
}

function tcp(port: number): Socket {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => undefined);
  undo.push(() => socket.destroy());
  return socket;
}

test('the name in a client certificate is the user whom the rules are about', async () => {
  const rules = join(authority.folder, 'acl');
  writeFileSync(rules, 'user device-7\ntopic readwrite devices/7\n');
  const port = await freePort();
  const trust = `ca = "${authority.ca}"\nrequire_client_cert = true\nuser_name_from = "cn"`;
  await start(
    `[[listener]]\nlisten = "127.0.0.1:${port}"\nauth = { acl_file = "${rules}" }\n` +
      `${tls(authority.issueServer())}\n${trust}\n`,
  );
  const { cert, key } = authority.issue({ subject: '/CN=device-7' });
  const client = await connect(`mqtts://localhost:${port}`, {
    protocolVersion: 5,
    // What the client says of itself does not count.
    username: 'admin',
    cert: readFileSync(cert),
    key: readFileSync(key),
  });
  await client.publishAsync('devices/7', 'x', { qos: 1 });
  await expect(client.publishAsync('devices/8', 'x', { qos: 1 })).rejects.toMatchObject({
    code: 0x87,
  });
});

test('a renewed certificate is taken up, by its change or by SIGHUP, and nobody is cut off', async () => {
  const files = await servedFiles();
  const port = await freePort();
  const broker = await start(listener(port, tls(files)));
  const member = await connect(`mqtts://localhost:${port}`);
  let closes = 0;
  member.on('close', () => {
    closes += 1;
  });
  const first = await serialOf(port);

  install(authority.issueServer(), files);
  await waitFor('the new certificate', async () => (await serialOf(port)) !== first);
  const second = await serialOf(port);

  install(authority.issueServer(), files);
  process.kill(broker.pid, 'SIGHUP');
  await waitFor('the third', async () => (await serialOf(port)) !== second, 1_500);

  await member.publishAsync('still/here', 'x', { qos: 1 });
  expect(closes).toBe(0);
});

test('a certificate that cannot be used is an alarm, and the old one stays, until it is mended', async () => {
  const files = await servedFiles();
  const port = await freePort();
  const broker = await start(listener(port, tls(files)));
  const first = await serialOf(port);
  const alarms = async (): Promise<readonly string[]> =>
    (await broker.status<Status>()).alarms.map(({ code }) => code);

  writeFileSync(files.cert, 'not a certificate\n');
  await waitFor('the alarm', async () => (await alarms()).includes('config.reload_failed'));
  expect(await serialOf(port)).toBe(first);
  expect(broker.stderr.join('\n')).toContain('has no certificate in it');

  install(authority.issueServer(), files);
  await waitFor('its end', async () => !(await alarms()).includes('config.reload_failed'));
  expect(await serialOf(port)).not.toBe(first);
});

test('a certificate that has ended does not keep the gateway from starting: it is an alarm', async () => {
  const files = authority.issueServer({ endsAt: '20250131000000Z' });
  const broker = await start(listener(await freePort(), tls(files)));
  expect(broker.stdout.join('\n')).toContain('ended on 2025-01-31');
  const { alarms } = await broker.status<Status>();
  expect(alarms.map(({ code }) => code)).toEqual(['tls.certificate_ended']);
});

test.each(['run', 'check'])(
  'a key of another certificate: %s says so, with file and line',
  async (command) => {
    const folder = await mkdtemp(join(tmpdir(), 'cistern-refused-'));
    undo.push(() => rm(folder, { recursive: true, force: true }));
    const config = join(folder, 'cistern.toml');
    const { cert } = authority.issueServer();
    const { key } = authority.issueServer();
    const text = `[storage]\npath = "${folder}/data"\n${listener(await freePort(), tls({ cert, key }))}`;
    writeFileSync(config, text);
    const child = new TestProcess(executablePath(), [command, '--config', config]);
    expect(await child.exited()).toBe(BAD_CONFIGURATION);
    expect(child.stderr.join('\n')).toContain(
      `${config}:8: error: listener[0].tls.key: ${key} is not the key of the certificate in ${cert}`,
    );
  },
);

test('peers that begin and never go on: they are cut after ten seconds, and disturb nobody', async () => {
  const ports = [await freePort(), await freePort(), await freePort()] as const;
  const [secure, web, proxied] = ports;
  const broker = await start(
    [
      listener(secure, tls(authority.issueServer())),
      listener(web, 'protocol = "ws"'),
      listener(proxied, 'proxy_protocol = true'),
    ].join(''),
  );
  // The first bytes of a ClientHello, of a request and of a PROXY header; and nothing at all.
  const beginnings = [
    [secure, Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01])],
    [web, Buffer.from('GET /mqtt HTTP/1.1\r\nHost: ')],
    [proxied, Buffer.from('PROXY TCP4 ')],
    [secure, Buffer.alloc(0)],
    [web, Buffer.alloc(0)],
    [proxied, Buffer.alloc(0)],
  ] as const;
  const startMs = performance.now();
  const slow = beginnings.flatMap(([port, bytes]) =>
    Array.from({ length: 20 }, () => {
      const socket = tcp(port);
      socket.write(bytes);
      return socket;
    }),
  );
  const member = await connect(`mqtts://localhost:${secure}`);
  // One more byte now and then does not buy time.
  const drip = setInterval(() => {
    for (const socket of slow) if (!socket.destroyed) socket.write(Buffer.from('A'));
  }, 1_000);
  undo.push(() => clearInterval(drip));
  await waitFor('all to be cut', () => slow.every(({ destroyed }) => destroyed), 15_000);
  expect(performance.now() - startMs).toBeLessThan(13_000);
  await member.publishAsync('still/here', 'x', { qos: 1 });
  const { turnedAway } = (await broker.status<Status>()).clients;
  expect(turnedAway['websocket_handshake']).toBeGreaterThanOrEqual(20);
  expect(turnedAway['proxy_handshake']).toBeGreaterThanOrEqual(20);
  expect(turnedAway['tls_handshake']).toBeGreaterThanOrEqual(20);
}, 30_000);

test('handshakes that are not finished count as connections', async () => {
  const port = await freePort();
  const broker = await start(
    `${listener(port, tls(authority.issueServer()))}[limits]\nconnections = 30\n`,
  );
  const half = Array.from({ length: 50 }, () => {
    const socket = tcp(port);
    socket.write(Buffer.from([0x16, 0x03, 0x01]));
    return socket;
  });
  await waitFor(
    'those too many to be closed',
    () => half.filter((each) => each.destroyed).length === 20,
  );
  expect((await broker.status<Status>()).clients.turnedAway['connection_limit']).toBe(20);
});

test('messages that never end: those who hold most are let go, and the rest is served', async () => {
  const port = await freePort();
  const broker = await start(listener(port, 'protocol = "ws"'));
  // A frame of 400 KiB, of which all but a byte comes: 200 of them are 80 MiB.
  const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 6, 0x40, 0, 1, 2, 3, 4]);
  const upgrade =
    'GET /mqtt HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n' +
    'Sec-WebSocket-Protocol: mqtt\r\n\r\n';
  const body = Buffer.alloc(400 * 1024 - 1);
  for (let opened = 0; opened < 200; opened += 1) {
    const socket = tcp(port);
    socket.write(Buffer.concat([Buffer.from(upgrade), header, body]));
    socket.resume();
  }
  await waitFor('the first to be let go', async () => {
    const { turnedAway } = (await broker.status<Status>()).clients;
    return (turnedAway['unfinished_packets'] ?? 0) > 0;
  });
  const member = await connect(`ws://localhost:${port}/mqtt`);
  await member.publishAsync('still/here', 'x', { qos: 1 });
});

test('behind a proxy the log names the client, not the proxy', async () => {
  const port = await freePort();
  const broker = await start(listener(port, 'proxy_protocol = true'));
  const socket = tcp(port);
  socket.write('PROXY TCP4 192.0.2.7 127.0.0.1 40000 1883\r\nthis is no MQTT');
  await waitFor('the log', () => broker.stderr.some((line) => line.includes('192.0.2.7')));
});
