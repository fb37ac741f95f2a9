import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureProgram } from '../../build/lib/debian.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import { WireClient } from '../support/wire-client.ts';

const run = promisify(execFile);

let program: string;
let folder: string;

beforeAll(async () => {
  program = executablePath();
  await ensureProgram('mosquitto_pub', 'mosquitto-clients');
  await ensureProgram('mosquitto_passwd', 'mosquitto');
  folder = await mkdtemp(join(tmpdir(), 'cistern-access-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function login(port: number, username: string, password: string): Promise<number> {
  const { client, connack } = await WireClient.connect(port, {
    clientId: '',
    username,
    password: Buffer.from(password),
  });
  client.destroy();
  return connack.returnCode ?? -1;
}

async function mosquittoWith(passwords: string): Promise<Mosquitto> {
  const text = await readFile(passwords, 'utf8');
  return startMosquitto({
    config: ['allow_anonymous false', 'password_file {folder}/passwd'],
    files: { passwd: text },
  });
}

describe('a password file', () => {
  test('made by mosquitto_passwd lets the same people into Cistern', async () => {
    const file = join(folder, 'mosquitto');
    await run('mosquitto_passwd', ['-b', '-c', file, 'ann', 'pässword']);
    await run('mosquitto_passwd', ['-H', 'sha512', '-b', file, 'old', 'secret']);
    const broker = await startCistern({ toml: `auth = { password_file = "${file}" }` });
    try {
      expect(await login(broker.mqttPort, 'ann', 'pässword')).toBe(0);
      expect(await login(broker.mqttPort, 'old', 'secret')).toBe(0);
      expect(await login(broker.mqttPort, 'ann', 'secret')).toBe(4);
      expect(await login(broker.mqttPort, 'eve', 'secret')).toBe(4);
    } finally {
      await broker.stop();
    }
  });

  test('made by cistern passwd lets the same people into Mosquitto', async () => {
    const file = join(folder, 'cistern');
    await run(program, ['passwd', '-b', file, 'ann', 'pässword']);
    await run(program, ['passwd', '-b', file, 'bob', 'x y']);
    const mosquitto = await mosquittoWith(file);
    try {
      expect(await login(mosquitto.port, 'ann', 'pässword')).toBe(0);
      expect(await login(mosquitto.port, 'bob', 'x y')).toBe(0);
      expect(await login(mosquitto.port, 'ann', 'x y')).not.toBe(0);
    } finally {
      await mosquitto.stop();
    }
  });

  test('is changed by either tool, and hashed from plain text by ours', async () => {
    const file = join(folder, 'both');
    await writeFile(file, 'plain:open sesame\n', { mode: 0o600 });
    await run(program, ['passwd', '-U', file]);
    await run('mosquitto_passwd', ['-b', file, 'theirs', '1']);
    await run(program, ['passwd', '-b', file, 'ours', '1']);
    await run('mosquitto_passwd', ['-b', file, 'ours', '2']);
    await run(program, ['passwd', '-b', file, 'theirs', '2']);
    await run(program, ['passwd', '-b', file, 'gone', '3']);
    await run('mosquitto_passwd', ['-D', file, 'gone']);
    const mosquitto = await mosquittoWith(file);
    const broker = await startCistern({ toml: `auth = { password_file = "${file}" }` });
    try {
      for (const port of [mosquitto.port, broker.mqttPort]) {
        expect(await login(port, 'plain', 'open sesame')).toBe(0);
        expect(await login(port, 'ours', '2')).toBe(0);
        expect(await login(port, 'theirs', '2')).toBe(0);
        expect(await login(port, 'ours', '1')).not.toBe(0);
        expect(await login(port, 'gone', '3')).not.toBe(0);
      }
    } finally {
      await mosquitto.stop();
      await broker.stop();
    }
  });
});

const ACL = `# everybody without a name
topic read open/#
topic deny open/secret
user admin
topic #
topic read $SYS/#
user ann
topic read a/#
topic a/rw
topic deny a/no/#
topic write w/+/x
topic readwrite $other/t
user bob
topic read +/b
topic write   spaced topic

pattern read p/%u/%c
pattern write p/%c/up
pattern deny p/bob/denied
pattern read p/bob/#
user ann
topic read later
`;

const TOPICS = [
  ...['open/a', 'open/secret', 'a', 'a/b', 'a/rw', 'a/no', 'a/no/x', 'w/1/x', 'w/1/y', 'later'],
  ...['spaced topic', 'b', 'x/b', 'p/ann/ann-id', 'p/ann-id/up', 'p/bob/denied', 'p/bob/x'],
  ...['p/bob/bob-id', 'p/nobody-id/up', '$other/t', '$other/u'],
];

/** Who may publish where, and who is given what: asked of a running broker by its own messages. */
async function effectOf(port: number): Promise<Record<string, string[]>> {
  const people = ['admin', 'ann', 'bob', undefined];
  const clients = new Map<string, WireClient>();
  for (const name of people) {
    const credentials = name === undefined ? {} : { username: name, password: Buffer.from(name) };
    const clientId = `${name ?? 'nobody'}-id`;
    const { client, connack } = await WireClient.connect(port, { clientId, ...credentials });
    expect(connack.returnCode).toBe(0);
    const subscriptions = ['#', '$other/+'].map((topic) => ({ topic, qos: 0 as const }));
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions });
    await client.next('suback');
    clients.set(name ?? 'nobody', client);
  }
  const effect: Record<string, string[]> = {};
  for (const [publisher, client] of clients) {
    for (const [index, topic] of TOPICS.entries()) {
      const payload = `${publisher} > ${topic}`;
      client.send({
        cmd: 'publish',
        topic,
        payload,
        qos: 1,
        retain: false,
        dup: false,
        messageId: index + 1,
      });
      await client.next('puback');
    }
  }
  await sleep(300);
  for (const [reader, client] of clients) {
    effect[reader] = client.received
      .flatMap((packet) => (packet.cmd === 'publish' ? [packet.payload.toString()] : []))
      // Two subscriptions may bring two copies from one broker and one from the other.
      .filter((payload, index, all) => all.indexOf(payload) === index)
      .toSorted();
    client.destroy();
  }
  return effect;
}

test('an ACL file has the same effect in Cistern as in Mosquitto', async () => {
  const passwords = join(folder, 'acl-passwd');
  await writeFile(passwords, '', { mode: 0o600 });
  for (const name of ['admin', 'ann', 'bob']) {
    await run('mosquitto_passwd', ['-b', passwords, name, name]);
  }
  const acl = join(folder, 'acl');
  await writeFile(acl, ACL);
  const mosquitto = await startMosquitto({
    config: ['allow_anonymous true', 'password_file {folder}/passwd', 'acl_file {folder}/acl'],
    files: { passwd: await readFile(passwords, 'utf8'), acl: ACL },
  });
  let broker: Cistern | undefined;
  try {
    broker = await startCistern({
      toml: `anonymous = true\nauth = { password_file = "${passwords}", acl_file = "${acl}" }`,
    });
    const theirs = await effectOf(mosquitto.port);
    expect(await effectOf(broker.mqttPort)).toEqual(theirs);
    // The file is neither so strict nor so open that two brokers could agree by accident.
    for (const got of Object.values(theirs)) expect(got.length).toBeGreaterThan(2);
    expect(theirs['nobody']).toContain('admin > open/a');
    expect(theirs['nobody']).not.toContain('admin > open/secret');
  } finally {
    await mosquitto.stop();
    await broker?.stop();
  }
});

test('mosquitto_pub and mosquitto_sub are told that they may not', async () => {
  const passwords = join(folder, 'told');
  const acl = join(folder, 'told-acl');
  await run(program, ['passwd', '-b', passwords, 'ann', 'pw']);
  await writeFile(acl, 'user ann\ntopic a/#\n');
  const broker = await startCistern({
    toml: `auth = { password_file = "${passwords}", acl_file = "${acl}" }`,
  });
  const output = async (command: string, args: string[]): Promise<string> => {
    const common = ['-p', String(broker.mqttPort), '-V', 'mqttv5', '-u', 'ann'];
    const result = await run(command, [...common, ...args]).catch((error: unknown) => error);
    const { code, stdout, stderr } = result as { code?: number; stdout: string; stderr: string };
    return `${code ?? 0} ${stdout}${stderr}`;
  };
  try {
    const wrong = ['-P', 'wrong', '-t', 'a/b', '-m', 'x'];
    expect(await output('mosquitto_pub', wrong)).toMatch(
      /^[1-9]\d* .*Bad User ?Name or Password/is,
    );
    const forbidden = ['-P', 'pw', '-q', '1', '-t', 'b', '-m', 'x'];
    expect(await output('mosquitto_pub', forbidden)).toMatch(/Not authori[sz]ed/i);
    expect(await output('mosquitto_sub', ['-P', 'pw', '-t', 'b', '-W', '5'])).toMatch(/denied/i);
    expect(await output('mosquitto_pub', ['-P', 'pw', '-q', '1', '-t', 'a/b', '-m', 'x'])).toBe(
      '0 ',
    );
  } finally {
    await broker.stop();
  }
});
