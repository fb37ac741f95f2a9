import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ensureProgram } from '../../build/lib/debian.ts';
import type { Status } from '../../src/admin/status.ts';
import { Authority } from '../support/certificates.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { Neighbour } from '../support/neighbour.ts';
import { waitFor } from '../support/wait-for.ts';
import { WireClient } from '../support/wire-client.ts';

const run = promisify(execFile);

let program: string;
let folder: string;
let broker: Cistern | undefined;

beforeAll(async () => {
  program = executablePath();
  folder = await mkdtemp(join(tmpdir(), 'cistern-system-access-'));
});

afterEach(async () => {
  await broker?.stop();
  broker = undefined;
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function passwords(name: string, ...users: string[]): Promise<string> {
  const file = join(folder, name);
  for (const user of users) await run(program, ['passwd', '-b', '-I', '100', file, user, user]);
  return file;
}

async function connect(port: number, username: string, password = username) {
  return WireClient.connect(port, {
    clientId: `${username}-${randomBytes(4).toString('hex')}`,
    protocolVersion: 5,
    username,
    password: Buffer.from(password),
  });
}

describe('a running gateway', () => {
  test('takes up a password file that is changed by cistern passwd, without a signal', async () => {
    const file = await passwords('watched', 'ann', 'bob');
    broker = await startCistern({ toml: `auth = { password_file = "${file}" }` });
    const ann = (await connect(broker.mqttPort, 'ann')).client;
    const bob = (await connect(broker.mqttPort, 'bob')).client;
    await run(program, ['passwd', '-D', file, 'ann']);
    expect((await ann.next('disconnect', () => true, 15_000)).reasonCode).toBe(0x87);
    await ann.closed();
    expect(bob.isClosed).toBe(false);
    expect((await connect(broker.mqttPort, 'ann')).connack.reasonCode).toBe(0x86);
    bob.destroy();
  });

  test('takes up an ACL file on SIGHUP, and keeps the old one where the new one is broken', async () => {
    const file = await passwords('hup', 'ann');
    const acl = join(folder, 'acl');
    const put = async (text: string): Promise<void> => {
      // As editors and configuration tools do: a rename over the file.
      await writeFile(`${acl}.new`, text);
      await rename(`${acl}.new`, acl);
      if (broker?.isRunning) process.kill(broker.pid, 'SIGHUP');
    };
    await put('user ann\ntopic a\n');
    const toml = `auth = { password_file = "${file}", acl_file = "${acl}" }`;
    const running = await startCistern({ toml });
    broker = running;
    const { client } = await connect(running.mqttPort, 'ann');
    let messageId = 0;
    const reasonOf = async (topic: string): Promise<number | undefined> => {
      messageId++;
      const packet = {
        cmd: 'publish',
        topic,
        payload: 'x',
        qos: 1,
        retain: false,
        dup: false,
      } as const;
      client.send({ ...packet, messageId });
      return (await client.next('puback')).reasonCode;
    };
    expect([await reasonOf('a'), await reasonOf('b')]).toEqual([0, 0x87]);
    await put('user ann\ntopic b\n');
    await waitFor('the new rules', async () => (await reasonOf('b')) === 0);
    expect(await reasonOf('a')).toBe(0x87);
    await put('user ann\ntopic both of them\n');
    const alarms = async () => (await running.status<Status>()).alarms.map(({ code }) => code);
    await waitFor('an alarm', async () => (await alarms()).includes('config.reload_failed'));
    expect([await reasonOf('a'), await reasonOf('b')]).toEqual([0x87, 0]);
    await put('user ann\ntopic a\ntopic b\n');
    await waitFor(
      'the end of the alarm',
      async () => !(await alarms()).includes('config.reload_failed'),
    );
    expect([await reasonOf('a'), await reasonOf('b')]).toEqual([0, 0]);
    client.destroy();
  });

  test('guessed at by a crowd, with hashes as slow as Mosquitto 2.1 makes them, serves the others', async () => {
    const hash = `${'A'.repeat(22)}$${'A'.repeat(43)}`;
    const file = join(folder, 'slow');
    await writeFile(file, `victim:$argon2id$v=19$m=47104,t=1,p=1$${hash}\n`);
    const running = await startCistern({
      toml: `anonymous = true\nauth = { password_file = "${file}" }`,
    });
    broker = running;
    const neighbour = await Neighbour.moveIn(running.mqttPort);
    let refused = 0;
    const pulses = await neighbour.during(async () => {
      const guesses = Array.from({ length: 200 }, async (_, at) => {
        const { client, connack } = await connect(running.mqttPort, 'victim', `guess ${at}`);
        expect([0x86, 0x89]).toContain(connack.reasonCode);
        refused++;
        await client.closed();
      });
      await Promise.all(guesses);
    });
    expect(refused).toBe(200);
    expect(pulses).toBeGreaterThan(5);
    const { refusedLogins } = (await running.status<Status>()).clients;
    expect((refusedLogins['busy'] ?? 0) + (refusedLogins['bad_credentials'] ?? 0)).toBe(200);
    // All but the first few were turned away without making a hash.
    expect(refusedLogins['bad_credentials']).toBeLessThan(40);
  }, 60_000);

  test('opened by the two commands that it prints, lets in who knows the password', async () => {
    const file = await passwords('printed', 'me');
    broker = await startCistern({ args: ['--password-file', file] });
    expect((await connect(broker.mqttPort, 'me')).connack.reasonCode).toBe(0);
    expect((await connect(broker.mqttPort, 'me', 'other')).connack.reasonCode).toBe(0x86);
  });
});

describe('without a password', () => {
  test('a token lets in, by each algorithm', async () => {
    const jwks = join(folder, 'jwks.json');
    const pairs = await Promise.all(
      ['RS256', 'ES256', 'EdDSA'].map(async (alg) => ({ alg, pair: await generateKeyPair(alg) })),
    );
    const keys = await Promise.all(
      pairs.map(async ({ alg, pair }) => ({ ...(await exportJWK(pair.publicKey)), kid: alg })),
    );
    await writeFile(jwks, JSON.stringify({ keys }));
    const { mqttPort } = (broker = await startCistern({
      toml: `auth = { jwt = { jwks_file = "${jwks}", audience = "gateway" } }`,
    }));
    for (const { alg, pair } of pairs) {
      const sign = (audience: string): Promise<string> =>
        new SignJWT({ sub: 'device' })
          .setProtectedHeader({ alg, kid: alg })
          .setAudience(audience)
          .setExpirationTime('1m')
          .sign(pair.privateKey);
      expect((await connect(mqttPort, 'any', await sign('gateway'))).connack.reasonCode).toBe(0);
      expect((await connect(mqttPort, 'any', await sign('other'))).connack.reasonCode).toBe(0x86);
    }
  });

  test('a certificate lets in by the name in it, and rules are about that name', async () => {
    await ensureProgram('mosquitto_pub', 'mosquitto-clients');
    const authority = new Authority();
    try {
      const server = authority.issueServer();
      const acl = join(folder, 'certificate-acl');
      await writeFile(acl, 'user device-7\ntopic write d7\n');
      const { mqttPort } = (broker = await startCistern({
        toml: `auth = { acl_file = "${acl}" }
          tls = { cert = "${server.cert}", key = "${server.key}", ca = "${authority.ca}", require_client_cert = true, user_name_from = "cn" }`,
      }));
      const publish = async (subject: string, topic: string): Promise<string> => {
        const { cert, key } = authority.issue({ subject });
        const tls = ['--cafile', authority.ca, '--cert', cert, '--key', key];
        const message = ['-V', 'mqttv5', '-q', '1', '-t', topic, '-m', 'x', '-u', 'device-7'];
        const command = ['-h', 'localhost', '-p', String(mqttPort), ...tls, ...message];
        const { stdout, stderr } = await run('mosquitto_pub', command).catch(
          (error: unknown) => error as { stdout: string; stderr: string },
        );
        return stdout + stderr;
      };
      expect(await publish('/CN=device-7', 'd7')).toBe('');
      expect(await publish('/CN=device-7', 'd8')).toMatch(/not authori[sz]ed/i);
      expect(await publish('/CN=device-8', 'd7')).toMatch(/not authori[sz]ed/i);
    } finally {
      authority.remove();
    }
  });
});

test('cistern passwd asks at a terminal, and does not show what is typed', async () => {
  await ensureProgram('script', 'bsdutils');
  const file = join(folder, 'asked');
  // A pseudo-terminal: what is written to `script` is typed, what it prints is what one would see.
  const child = spawn('script', ['-qec', `'${program}' passwd '${file}' ann`, '/dev/null']);
  let seen = '';
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  await waitFor('the question', () => seen.includes('Password: '));
  child.stdin.write('s3cret\r');
  await waitFor('the second question', () => seen.includes('Again: '));
  child.stdin.write('s3cret\r');
  expect(await ended).toBe(0);
  expect(seen).toContain('The password of ann is set.');
  expect(seen).not.toContain('s3c');
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  broker = await startCistern({ toml: `auth = { password_file = "${file}" }` });
  expect((await connect(broker.mqttPort, 'ann', 's3cret')).connack.reasonCode).toBe(0);
});
