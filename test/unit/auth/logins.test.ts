import { argon2Sync, createHash, pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { formatPbkdf2 } from '../../../src/auth/password-file.ts';
import { createNodePasswordHashing } from '../../../src/platform/node/password-hashing.ts';
import type { PasswordHashing } from '../../../src/platform/password-hashing.ts';
import { AccessWorld } from '../../support/access-world.ts';

const SALT = Buffer.from('twelve bytes');

function pbkdf2(password: string, iterations = 101): string {
  return formatPbkdf2(iterations, SALT, pbkdf2Sync(password, SALT, iterations, 64, 'sha512'));
}

function sha512(password: string): string {
  const hash = createHash('sha512').update(password).update(SALT).digest('base64');
  return `$6$${SALT.toString('base64')}$${hash}`;
}

function argon2id(password: string): string {
  const nonce = Buffer.alloc(16, 7);
  const costs = { parallelism: 1, tagLength: 32, memory: 256, passes: 1 };
  const hash = argon2Sync('argon2id', { message: password, nonce, ...costs });
  const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  return `$argon2id$v=19$m=256,t=1,p=1$${base64(nonce)}$${base64(hash)}`;
}

/** Counts the hashes made, and how many were under way at one time. */
class CountedHashing implements PasswordHashing {
  made = 0;
  underWay = 0;
  most = 0;
  readonly #real = createNodePasswordHashing();
  readonly seal = this.#real.seal;

  async derive(...args: Parameters<PasswordHashing['derive']>): Promise<Uint8Array> {
    this.made++;
    this.underWay++;
    this.most = Math.max(this.most, this.underWay);
    const hash = await this.#real.derive(...args);
    this.underWay--;
    return hash;
  }
}

function open(passwd: string, more: Parameters<typeof AccessWorld.open>[0] = {}) {
  return AccessWorld.open({ auth: { passwordFile: 'p' }, files: { p: passwd }, ...more });
}

describe('a password', () => {
  test.each([
    ['$7$', pbkdf2],
    ['$6$', sha512],
    ['$argon2id$', argon2id],
  ])('kept as %s is right or wrong', async (_, hashed) => {
    const world = await open(`ann:${hashed('pässword')}\nbob:${hashed('other')}\n`);
    const right = await world.login({ username: 'ann', password: 'pässword' });
    expect(right).toMatchObject({ kind: 'admitted', username: 'ann' });
    for (const password of ['password', '', 'other', 'pässword ']) {
      const wrong = await world.login({ username: 'ann', password });
      expect(wrong).toMatchObject({ kind: 'refused', reason: 'bad_credentials' });
    }
  });

  test('of another user is not taken for an unknown one, and costs a hash as for a known one', async () => {
    const hashing = new CountedHashing();
    const world = await open(`ann:${pbkdf2('pw')}\n`, { hashing });
    const refused = await world.login({ username: 'eve', password: 'pw' });
    expect(refused).toMatchObject({ kind: 'refused', reason: 'bad_credentials' });
    expect(hashing.made).toBe(1);
  });

  test('costs a hash also while the file is empty', async () => {
    const hashing = new CountedHashing();
    const world = await open('# nobody yet\n', { hashing });
    expect(await world.login({ username: 'eve', password: 'pw' })).toMatchObject({
      reason: 'bad_credentials',
    });
    expect(hashing.made).toBe(1);
  });

  test('that was right is known again for an hour, and a wrong one never', async () => {
    const hashing = new CountedHashing();
    const world = await open(`ann:${pbkdf2('pw')}\n`, { hashing });
    const login = async (password: string): Promise<string> => {
      const { kind } = await world.login({ username: 'ann', password });
      return `${kind} ${hashing.made}`;
    };
    expect(await login('pw')).toBe('admitted 1');
    expect(await login('pw')).toBe('admitted 1');
    expect(await login('no')).toBe('refused 2');
    expect(await login('no')).toBe('refused 3');
    await world.clock.advance(3_000_000);
    expect(await login('pw')).toBe('admitted 3');
    await world.clock.advance(3_700_000);
    expect(await login('pw')).toBe('admitted 4');
  });

  test('that was right is not known any more once the file has another', async () => {
    const world = await open(`ann:${pbkdf2('old')}\n`);
    const before = await world.login({ username: 'ann', password: 'old' });
    world.files['p'] = `ann:${pbkdf2('new')}\n`;
    await world.reload();
    expect(before.kind === 'admitted' && before.isStillValid()).toBe(false);
    expect(await world.login({ username: 'ann', password: 'old' })).toMatchObject({
      reason: 'bad_credentials',
    });
    expect(await world.login({ username: 'ann', password: 'new' })).toMatchObject({
      kind: 'admitted',
    });
  });

  test('is never in the log', async () => {
    const world = await open(`ann:${pbkdf2('right')}\n`);
    await world.login({ username: 'ann', password: 'hunter2' });
    expect(world.logger.entries).toMatchObject([
      { event: 'client.login_refused', fields: { user: 'ann', reason: 'a wrong password' } },
    ]);
    expect(JSON.stringify(world.logger.entries)).not.toContain('hunter2');
  });
});

describe('many logins at once', () => {
  test('are hashed two at a time, and all are answered', async () => {
    const hashing = new CountedHashing();
    const names = Array.from({ length: 60 }, (_, at) => `user${at}`);
    const world = await open(names.map((name) => `${name}:${pbkdf2(name)}\n`).join(''), {
      hashing,
    });
    const answers = await Promise.all(
      names.map((name) => world.login({ username: name, password: name })),
    );
    expect(answers.every(({ kind }) => kind === 'admitted')).toBe(true);
    expect(hashing.most).toBe(2);
  });

  test('of argon2id are hashed one at a time, for the memory it takes', async () => {
    const hashing = new CountedHashing();
    const world = await open(`ann:${argon2id('ann')}\nbob:${argon2id('bob')}\n`, { hashing });
    await Promise.all(
      ['ann', 'bob', 'eve'].map((name) => world.login({ username: name, password: name })),
    );
    expect(hashing.most).toBe(1);
    expect(hashing.made).toBe(3);
  });

  test('with guesses are not checked: of hundreds a handful is, and one who belongs here gets in', async () => {
    const hashing = new CountedHashing();
    const world = await open(`ann:${pbkdf2('secret')}\n`, { hashing });
    await world.login({ username: 'ann', password: 'secret' });
    const guesses = Array.from({ length: 300 }, (_, at) =>
      world.login({ username: 'ann', password: `guess${at}`, remoteAddress: '203.0.113.7' }),
    );
    const answers = await Promise.all(guesses);
    expect(answers.every(({ kind }) => kind === 'refused')).toBe(true);
    expect(hashing.made).toBeLessThan(30);
    expect(world.auth.counters.refused.get('busy')).toBeGreaterThan(250);
    const own = await world.login({ username: 'ann', password: 'secret' });
    expect(own).toMatchObject({ kind: 'admitted', waitedMs: 0 });
  });
});

describe('who gives no password', () => {
  const certificate = {
    tls: {
      cert: 'c',
      key: 'k',
      ca: 'a',
      requireClientCert: true,
      userNameFrom: undefined,
      minVersion: '1.2',
    },
  } as const;

  test('is refused, and told apart from one with a name alone', async () => {
    const world = await open(`ann:${pbkdf2('pw')}\n`);
    expect(await world.login({})).toMatchObject({ reason: 'not_authorized' });
    expect(await world.login({ username: 'ann' })).toMatchObject({ reason: 'bad_credentials' });
    expect(await world.login({ password: 'pw' })).toMatchObject({ reason: 'bad_credentials' });
  });

  test('comes in where the listener is open to that, but not by a name it cannot prove', async () => {
    const world = await open(`ann:${pbkdf2('pw')}\n`, { listener: { anonymous: true } });
    expect(await world.login({})).toMatchObject({ kind: 'admitted', username: undefined });
    expect(await world.login({ username: 'ann' })).toMatchObject({ kind: 'refused' });
  });

  test('comes in by the name in its certificate', async () => {
    const world = await open(`ann:${pbkdf2('pw')}\n`);
    const login = { certificateName: 'device-7', username: 'ann', password: 'wrong' };
    expect(await world.login(login)).toMatchObject({ kind: 'admitted', username: 'device-7' });
  });

  test('comes in by a certificate without a name, and other names are still to be proven', async () => {
    const world = await open(`ann:${pbkdf2('pw')}\n`, { listener: certificate });
    expect(await world.login({})).toMatchObject({ kind: 'admitted', username: undefined });
    expect(await world.login({ username: 'ann', password: 'x' })).toMatchObject({
      reason: 'bad_credentials',
    });
  });

  test('is refused where its certificate should name it and does not', async () => {
    const tls = { ...certificate.tls, userNameFrom: 'cn' } as const;
    const world = await AccessWorld.open({ listener: { tls } });
    expect(await world.login({})).toMatchObject({ reason: 'not_authorized' });
    expect(await world.login({ username: 'ann' })).toMatchObject({ reason: 'not_authorized' });
  });

  test('has, without any file, whatever name it says and is nobody', async () => {
    const world = await AccessWorld.open({ listener: { anonymous: true } });
    const admitted = await world.login({ username: 'root', password: 'x' });
    expect(admitted).toMatchObject({ kind: 'admitted', username: undefined });
    expect(admitted.kind === 'admitted' && admitted.rights.isRestricted).toBe(false);
  });
});
