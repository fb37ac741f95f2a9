import { pbkdf2Sync } from 'node:crypto';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterEach, describe, expect, test } from 'vitest';
import { formatPbkdf2 } from '../../../src/auth/password-file.ts';
import type { ConnectPacket, ProtocolVersion } from '../../../src/codec/control-packet.ts';
import { noProperties } from '../../../src/codec/properties.ts';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';
import { properties, PUBACK, PUBCOMP, PUBREC } from './sim-broker.ts';

const AUTH = '[auth]\npassword_file = "passwd"\nacl_file = "acl"\n';

let opened: SimCistern | undefined;

afterEach(async () => {
  await opened?.stop();
  opened = undefined;
});

/** A line of a password file; the password is the name. */
function user(name: string, password = name): string {
  const salt = Buffer.from(`salt of ${name}`.padEnd(12).slice(0, 12));
  return `${name}:${formatPbkdf2(1, salt, pbkdf2Sync(password, salt, 1, 64, 'sha512'))}\n`;
}

async function start(acl: string, toml = AUTH): Promise<SimCistern> {
  const clock = new SimClock();
  const cistern = new SimCistern({
    volume: new SimDisk({ clock }),
    checkpoints: new MemoryCheckpoint(),
    clock,
  });
  cistern.files['passwd'] = ['ann', 'bob', 'cat'].map((name) => user(name)).join('');
  cistern.files['acl'] = acl;
  await cistern.start(toml);
  opened = cistern;
  return cistern;
}

/** Connects and waits for the answer, for which a hash is made in real time. */
async function connect(
  cistern: SimCistern,
  options: Partial<ConnectPacket>,
  version: ProtocolVersion = 4,
): Promise<SimClient> {
  const client = cistern.client(version);
  client.connect({ clientId: options.username ?? 'nobody', ...options });
  await answered(cistern, client);
  return client;
}

async function answered(cistern: SimCistern, client: SimClient): Promise<void> {
  for (let i = 0; client.last('connack') === undefined && !client.closed; i++) {
    if (i > 500) throw new Error('no CONNACK');
    await new Promise((resolve) => void setTimeout(resolve, 2));
    await cistern.settle(5);
  }
  await cistern.settle();
}

function login(name: string, more: Partial<ConnectPacket> = {}): Partial<ConnectPacket> {
  return { username: name, password: Buffer.from(name), clientId: `${name}'s`, ...more };
}

async function reload(cistern: SimCistern): Promise<void> {
  await cistern.running?.reload();
  await cistern.settle();
}

function topicsOf(client: SimClient): string[] {
  return client.received.map(({ topic }) => topic);
}

describe('CONNECT', () => {
  test.each([
    ['the right password', login('ann'), 0, 0],
    ['a wrong one', { ...login('ann'), password: Buffer.from('x') }, 4, 0x86],
    ['an unknown name', login('eve'), 4, 0x86],
    ['a name alone', { username: 'ann' }, 4, 0x86],
    ['nothing', {}, 5, 0x87],
  ])('with %s is answered in each version', async (_, options, v3Code, v5Code) => {
    const cistern = await start('');
    for (const [version, reasonCode] of [
      [4, v3Code],
      [5, v5Code],
    ] as const) {
      const client = await connect(cistern, options, version);
      expect(client.last('connack')).toMatchObject({ reasonCode });
      expect(client.closed).toBe(reasonCode !== 0);
    }
    const refused = v3Code === 0 ? 0 : 2;
    const counts = Object.values(cistern.running?.status().clients.refusedLogins ?? {});
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(refused);
  });

  test('what comes right behind it waits for it, and is handled after it', async () => {
    const cistern = await start('user ann\ntopic a\n');
    const client = cistern.client();
    client.connect({ ...login('ann'), clientId: 'ann' });
    client.subscribe(7, ['a', 1]);
    client.publish('a', 'at once', { qos: 1, packetId: 8 });
    await answered(cistern, client);
    expect(client.packets.map(({ type }) => type)).toEqual(['connack', 'suback']);
    expect(topicsOf(client)).toEqual(['a']);
    expect(client.acks).toMatchObject([{ type: PUBACK, packetId: 8 }]);
  });

  test('what comes right behind a refused one is not handled', async () => {
    const cistern = await start('topic #\nuser ann\ntopic #\n');
    const listener = await connect(cistern, login('ann'));
    listener.subscribe(1, ['#', 0]);
    await cistern.settle();
    const client = cistern.client();
    client.connect({ ...login('ann'), password: Buffer.from('wrong'), clientId: 'x' });
    client.publish('a', 'forged');
    await answered(cistern, client);
    expect(client.last('connack')).toMatchObject({ reasonCode: 4 });
    expect(listener.received).toEqual([]);
  });

  test('that had to wait for its answer does not count as silence', async () => {
    const cistern = await start('');
    for (let guess = 0; guess < 12; guess++) {
      await connect(cistern, { ...login('ann'), password: Buffer.from(`${guess}`) });
    }
    const beganMs = cistern.clock.monotonicMs();
    const client = await connect(cistern, login('ann', { keepAliveSeconds: 1 }));
    expect(client.last('connack')).toMatchObject({ reasonCode: 0 });
    expect(cistern.clock.monotonicMs() - beganMs).toBeGreaterThan(1_500);
    await cistern.settle(1_000);
    expect(client.closed).toBe(false);
  });

  test('of a client that goes away while it is checked leaves nothing behind', async () => {
    const cistern = await start('');
    const client = cistern.client();
    client.connect({ ...login('ann'), clientId: 'gone' });
    client.drop();
    await cistern.settle(50);
    await new Promise((resolve) => void setTimeout(resolve, 30));
    await cistern.settle(50);
    expect(cistern.running?.status().clients).toMatchObject({ connected: 0, sessions: 0 });
  });

  test('with an authentication method is refused: none is known [MQTT-4.12.0-1]', async () => {
    const cistern = await start('');
    const method = properties({ authenticationMethod: 'SCRAM-SHA-256' });
    const client = await connect(cistern, login('ann', { properties: method }), 5);
    expect(client.last('connack')).toMatchObject({ reasonCode: 0x8c });
  });
});

describe('PUBLISH without the right', () => {
  const ACL = 'user ann\ntopic write ok/#\ntopic read #\nuser bob\ntopic #\n';

  test.each([4, 5] as const)('reaches nobody, version %i', async (version) => {
    const cistern = await start(ACL);
    const bob = await connect(cistern, login('bob'));
    bob.subscribe(1, ['#', 2]);
    const ann = await connect(cistern, login('ann'), version);
    ann.publish('no/0', '', { qos: 0 });
    ann.publish('no/1', '', { qos: 1, packetId: 1, retain: true });
    ann.publish('no/2', '', { qos: 2, packetId: 2 });
    ann.publish('ok/1', '', { qos: 1, packetId: 3 });
    ann.publish('no/1', '', { qos: 1, packetId: 4 });
    await cistern.settle();
    expect(topicsOf(bob)).toEqual(['ok/1']);
    expect(ann.closed).toBe(false);
    // 3.1.1 cannot be told, and would send it for ever without an ack [MQTT-3.3.5-2].
    const refusal = version === 5 ? 0x87 : 0;
    const codes = ann.acks.filter(({ type }) => type !== PUBCOMP);
    expect(codes.toSorted((a, b) => a.packetId - b.packetId)).toEqual([
      { type: PUBACK, packetId: 1, reasonCode: refusal },
      { type: PUBREC, packetId: 2, reasonCode: refusal },
      { type: PUBACK, packetId: 3, reasonCode: 0 },
      { type: PUBACK, packetId: 4, reasonCode: refusal },
    ]);
    expect(cistern.running?.status().messages.dropped).toMatchObject({ not_authorized: 4 });
  });

  test('of QoS 2 that was taken before the right was lost is answered as taken', async () => {
    const cistern = await start(ACL);
    const ann = await connect(cistern, login('ann'), 5);
    ann.autoAck = false;
    ann.publish('ok/2', 'once', { qos: 2, packetId: 9 });
    await cistern.settle();
    cistern.files['acl'] = 'user ann\ntopic read #\n';
    await reload(cistern);
    ann.publish('ok/2', 'once', { qos: 2, packetId: 9, dup: true });
    await cistern.settle();
    expect(ann.acks).toEqual([
      { type: PUBREC, packetId: 9, reasonCode: 0 },
      { type: PUBREC, packetId: 9, reasonCode: 0 },
    ]);
  });

  test('by a will is dropped, and its client is let in', async () => {
    const cistern = await start(ACL);
    const bob = await connect(cistern, login('bob'));
    bob.subscribe(1, ['#', 1]);
    const will = {
      topic: 'no',
      payload: Buffer.from('w'),
      qos: 1,
      retain: true,
      properties: noProperties(),
    } as const;
    const ann = await connect(cistern, login('ann', { will }));
    expect(ann.last('connack')).toMatchObject({ reasonCode: 0 });
    ann.drop();
    const other = await connect(cistern, login('ann', { will: { ...will, topic: 'ok/gone' } }));
    other.drop();
    await cistern.settle(100);
    expect(topicsOf(bob)).toEqual(['ok/gone']);
  });

  test('by a will whose right was lost meanwhile is dropped too', async () => {
    const cistern = await start(ACL);
    const bob = await connect(cistern, login('bob'));
    bob.subscribe(1, ['#', 1]);
    const will = {
      topic: 'ok/w',
      payload: Buffer.from('w'),
      qos: 1,
      retain: false,
      properties: noProperties(),
    } as const;
    const ann = await connect(cistern, login('ann', { will }));
    cistern.files['acl'] = 'user ann\ntopic read #\nuser bob\ntopic #\n';
    await reload(cistern);
    ann.drop();
    await cistern.settle(100);
    expect(topicsOf(bob)).toEqual([]);
  });
});

describe('SUBSCRIBE', () => {
  const ACL = 'user ann\ntopic read ok/#\ntopic deny ok/secret\nuser bob\ntopic #\n';

  test('is refused where nothing of it may be read', async () => {
    const cistern = await start(ACL);
    const filters = [
      ['ok/a', 1],
      ['no', 1],
      ['#', 1],
      ['ok/secret', 0],
    ] as const;
    const [old, young] = [
      await connect(cistern, login('ann')),
      await connect(cistern, login('ann', { clientId: '5' }), 5),
    ];
    old.subscribe(1, ...filters);
    young.subscribe(1, ...filters);
    await cistern.settle();
    expect(old.last('suback')).toMatchObject({ reasonCodes: [1, 0x80, 1, 0x80] });
    expect(young.last('suback')).toMatchObject({ reasonCodes: [1, 0x87, 1, 0x87] });
  });

  test('wider than the rights brings what may be read, live and retained', async () => {
    const cistern = await start(ACL);
    const bob = await connect(cistern, login('bob'));
    bob.publish('ok/kept', 'r', { retain: true });
    bob.publish('no/kept', 'r', { retain: true });
    await cistern.settle();
    const ann = await connect(cistern, login('ann'));
    ann.subscribe(1, ['#', 2]);
    await cistern.settle();
    for (const qos of [0, 1, 2] as const) {
      bob.publish(`ok/${qos}`, '', { qos, packetId: qos + 1 });
      bob.publish(`no/${qos}`, '', { qos, packetId: qos + 11 });
      bob.publish('ok/secret', '', { qos, packetId: qos + 21 });
    }
    await cistern.settle();
    expect(topicsOf(ann).toSorted()).toEqual(['ok/0', 'ok/1', 'ok/2', 'ok/kept']);
  });

  test('that is shared is asked for the filter within, and brings what its member may read', async () => {
    const cistern = await start(ACL);
    const ann = await connect(cistern, login('ann'), 5);
    ann.subscribe(1, ['$share/g/ok/#', 1], ['$share/g/no/#', 1], ['$share/all/#', 1]);
    await cistern.settle();
    expect(ann.last('suback')).toMatchObject({ reasonCodes: [1, 0x87, 1] });
    const bob = await connect(cistern, login('bob'));
    bob.publish('no/1', '', { qos: 1, packetId: 1 });
    bob.publish('ok/1', '', { qos: 1, packetId: 2 });
    bob.publish('no/2', '', { qos: 0 });
    bob.publish('ok/2', '', { qos: 0 });
    await cistern.settle();
    expect(topicsOf(ann).toSorted()).toEqual(['ok/1', 'ok/1', 'ok/2', 'ok/2']);
  });

  test('of an absent session brings what may be read when it is back', async () => {
    const cistern = await start(ACL);
    const keep = { cleanStart: false } as const;
    const ann = await connect(cistern, login('ann', keep));
    ann.subscribe(1, ['#', 1]);
    await cistern.settle();
    ann.disconnect();
    await cistern.settle();
    const bob = await connect(cistern, login('bob'));
    bob.publish('ok/1', '', { qos: 1, packetId: 1 });
    bob.publish('no/1', '', { qos: 1, packetId: 2 });
    bob.publish('ok/2', '', { qos: 1, packetId: 3 });
    await cistern.settle();
    const back = await connect(cistern, login('ann', keep));
    await cistern.settle(100);
    expect(back.last('connack')).toMatchObject({ sessionPresent: true });
    expect(topicsOf(back)).toEqual(['ok/1', 'ok/2']);
    bob.publish('no/3', '', { qos: 1, packetId: 4 });
    bob.publish('ok/3', '', { qos: 1, packetId: 5 });
    await cistern.settle();
    expect(topicsOf(back)).toEqual(['ok/1', 'ok/2', 'ok/3']);
  });

  test('of a session that another user takes up brings what that one may read', async () => {
    const cistern = await start(ACL);
    const mine = { cleanStart: false, clientId: 'shared' } as const;
    const bob = await connect(cistern, login('bob', mine));
    bob.subscribe(1, ['#', 1]);
    await cistern.settle();
    const publisher = await connect(cistern, login('bob', { clientId: 'p' }));
    publisher.publish('no/live', '', { qos: 1, packetId: 1 });
    await cistern.settle();
    const ann = await connect(cistern, login('ann', mine));
    publisher.publish('no/live', '', { qos: 1, packetId: 2 });
    publisher.publish('ok/live', '', { qos: 1, packetId: 3 });
    await cistern.settle(100);
    expect(topicsOf(bob)).toEqual(['no/live']);
    expect(topicsOf(ann)).toEqual(['ok/live']);
    const again = await connect(cistern, login('bob', mine));
    publisher.publish('no/live', '', { qos: 1, packetId: 4 });
    await cistern.settle(100);
    expect(topicsOf(again)).toEqual(['no/live']);
  });
});

describe('a reload', () => {
  const ACL = 'user ann\ntopic a\nuser bob\ntopic a\n';

  test('changes rights at once, for who is connected and for what waits', async () => {
    const cistern = await start(ACL);
    const ann = await connect(
      cistern,
      login('ann', { properties: properties({ receiveMaximum: 1 }) }),
      5,
    );
    const bob = await connect(cistern, login('bob'), 5);
    ann.autoAck = false;
    ann.subscribe(1, ['+', 1]);
    await cistern.settle();
    bob.publish('a', 'in flight', { qos: 1, packetId: 1 });
    bob.publish('a', 'waits', { qos: 1, packetId: 2 });
    await cistern.settle();
    cistern.files['acl'] = 'user ann\ntopic read b\nuser bob\ntopic b\n';
    await reload(cistern);
    bob.publish('a', 'not any more', { qos: 1, packetId: 3 });
    bob.publish('b', 'now', { qos: 1, packetId: 4 });
    await cistern.settle();
    ann.ack(PUBACK, ann.received[0]?.packetId ?? 0);
    await cistern.settle();
    expect(ann.received.map(({ payload }) => payload)).toEqual(['in flight', 'now']);
    expect(bob.acks.map(({ reasonCode }) => reasonCode)).toEqual([0, 0, 0x87, 0]);
    expect(ann.closed || bob.closed).toBe(false);
  });

  test('disconnects who was taken out, and who has another password now', async () => {
    const cistern = await start(ACL);
    const [ann, bob, cat] = [
      await connect(cistern, login('ann'), 5),
      await connect(cistern, login('bob'), 5),
      await connect(cistern, login('cat'), 4),
    ];
    cistern.files['passwd'] = user('bob') + user('cat', 'new');
    await reload(cistern);
    expect(ann.last('disconnect')).toMatchObject({ reasonCode: 0x87 });
    expect([ann.closed, bob.closed, cat.closed]).toEqual([true, false, true]);
    const late = await connect(cistern, login('ann'), 5);
    expect(late.last('connack')).toMatchObject({ reasonCode: 0x86 });
  });

  test('of a broken file changes nothing, and is an alarm until it is mended', async () => {
    const cistern = await start(ACL);
    const ann = await connect(cistern, login('ann'));
    const codes = () => cistern.running?.status().alarms.map(({ code }) => code);
    cistern.files['passwd'] = 'ann:plain\n';
    cistern.files['acl'] = 'user ann\ntopic #\n';
    await reload(cistern);
    expect(codes()).toEqual(['config.reload_failed']);
    expect(ann.closed).toBe(false);
    ann.subscribe(1, ['b', 0]);
    await cistern.settle();
    expect(ann.last('suback')).toMatchObject({ reasonCodes: [0x80] });
    cistern.files['passwd'] = user('ann');
    await reload(cistern);
    expect(codes()).toEqual([]);
    ann.subscribe(2, ['b', 0]);
    await cistern.settle();
    expect(ann.last('suback')).toMatchObject({ reasonCodes: [0] });
  });

  test('happens by itself some seconds after a file has changed', async () => {
    const cistern = await start(ACL);
    const ann = await connect(cistern, login('ann'), 5);
    cistern.files['passwd'] = user('bob');
    await cistern.settle(7_000);
    expect(ann.closed).toBe(true);
  });
});

describe('a listener without a password file', () => {
  test('gives names that nothing proves the rights of nobody', async () => {
    const cistern = await start('topic open\nuser ann\ntopic #\n', '[auth]\nacl_file = "acl"\n');
    const ann = await connect(cistern, login('ann'));
    ann.subscribe(1, ['open', 0], ['secret', 0]);
    await cistern.settle();
    expect(ann.last('suback')).toMatchObject({ reasonCodes: [0, 0x80] });
  });

  test('does not start where a file is broken, and says which line', async () => {
    await expect(start('topics a\n')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('acl cannot be used: line 1'),
    });
  });
});

describe('a token', () => {
  async function startWithTokens() {
    const clock = new SimClock({ wallMs: Date.UTC(2027, 0, 1) });
    const pair = await generateKeyPair('ES256');
    const cistern = new SimCistern({
      volume: new SimDisk({ clock }),
      checkpoints: new MemoryCheckpoint(),
      clock,
    });
    cistern.files['jwks'] = JSON.stringify({ keys: [await exportJWK(pair.publicKey)] });
    await cistern.start('[auth]\njwt = { jwks_file = "jwks", acl_claim = "acl" }\n');
    opened = cistern;
    const token = async (seconds: number): Promise<Uint8Array> => {
      const acl = { pub: ['dev/%c/#'], sub: ['cmd/%u'] };
      const exp = clock.wallMs() / 1000 + seconds;
      const jwt = new SignJWT({ sub: 'ann', acl, exp }).setProtectedHeader({ alg: 'ES256' });
      return Buffer.from(await jwt.sign(pair.privateKey));
    };
    return { cistern, clock, token };
  }

  test('says what its client may do, and ends the connection when it ends itself', async () => {
    const { cistern, token } = await startWithTokens();
    const young = await connect(cistern, { clientId: 'd5', password: await token(600) }, 5);
    const old = await connect(cistern, {
      clientId: 'd4',
      username: 'x',
      password: await token(600),
    });
    young.subscribe(1, ['cmd/ann', 0], ['cmd/bob', 0]);
    young.publish('dev/d5/up', '', { qos: 1, packetId: 1 });
    young.publish('dev/d4/up', '', { qos: 1, packetId: 2 });
    await cistern.settle();
    expect(young.last('suback')).toMatchObject({ reasonCodes: [0, 0x87] });
    expect(young.acks.map(({ reasonCode }) => reasonCode)).toEqual([0, 0x87]);
    await cistern.settle(600_000);
    expect([young.closed, old.closed]).toEqual([false, false]);
    await cistern.settle(62_000);
    expect(young.last('disconnect')).toMatchObject({ reasonCode: 0xa0 });
    expect([young.closed, old.closed]).toEqual([true, true]);
  });

  test('that ended while the clock was wrong ends its connection when the clock is set', async () => {
    const { cistern, clock, token } = await startWithTokens();
    const client = await connect(cistern, { clientId: 'd', password: await token(600) }, 5);
    clock.stepWall(3_600_000);
    await cistern.settle(2_000);
    expect(client.closed).toBe(true);
  });
});
