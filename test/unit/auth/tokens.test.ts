import { exportJWK, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import type { JwtConfig } from '../../../src/config/types.ts';
import { AccessWorld } from '../../support/access-world.ts';

const NOW_MS = Date.UTC(2027, 0, 1);
const NOW = NOW_MS / 1000;

const JWT: JwtConfig = {
  jwksFile: 'jwks',
  issuer: 'https://issuer.example',
  audience: 'gateway',
  usernameClaim: 'sub',
  aclClaim: 'acl',
};

const CLAIMS: JWTPayload = {
  sub: 'device-1',
  iss: 'https://issuer.example',
  aud: ['other', 'gateway'],
  exp: NOW + 3600,
  acl: { pub: ['dev/%c/#'], sub: ['cmd/%u', 'all/#'], deny: ['all/secret'] },
};

function without(claim: string): JWTPayload {
  return Object.fromEntries(Object.entries(CLAIMS).filter(([name]) => name !== claim));
}

async function issuer(algorithm = 'ES256') {
  const pair = await generateKeyPair(algorithm, { extractable: true });
  const publicKey = { ...(await exportJWK(pair.publicKey)), kid: algorithm, alg: algorithm };
  return {
    jwks: JSON.stringify({ keys: [publicKey] }),
    publicKey,
    privateJwk: await exportJWK(pair.privateKey),
    sign: (claims: JWTPayload, header: { alg?: string; kid?: string } = {}) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: algorithm, kid: algorithm, ...header })
        .sign(pair.privateKey),
  };
}

async function open(more: { jwt?: Partial<JwtConfig>; jwks?: string; wallMs?: number } = {}) {
  const own = await issuer();
  const world = await AccessWorld.open({
    auth: { jwt: { ...JWT, ...more.jwt } },
    files: { jwks: more.jwks ?? own.jwks },
    wallMs: more.wallMs ?? NOW_MS,
  });
  return { world, ...own };
}

describe('a token', () => {
  test.each(['RS256', 'ES256', 'EdDSA'])('signed by %s lets in, by the name in it', async (alg) => {
    const { jwks, sign } = await issuer(alg);
    const { world } = await open({ jwks });
    const answer = await world.login({ username: 'whatever', password: await sign(CLAIMS) });
    expect(answer).toMatchObject({
      kind: 'admitted',
      username: 'device-1',
      endsAtMs: NOW_MS + 3_660_000,
    });
  });

  test('brings its rights, with the names of the client in them', async () => {
    const { world, sign } = await open();
    const answer = await world.login({ clientId: 'c1', password: await sign(CLAIMS) });
    if (answer.kind !== 'admitted') throw new Error('refused');
    const { rights } = answer;
    expect(rights.mayPublish('dev/c1/up')).toBe(true);
    expect(rights.mayPublish('dev/c2/up')).toBe(false);
    expect(rights.mayPublish('cmd/device-1')).toBe(false);
    expect(rights.mayRead('cmd/device-1')).toBe(true);
    expect(rights.mayRead('all/x')).toBe(true);
    expect(rights.mayRead('all/secret')).toBe(false);
    expect(rights.maySubscribe('dev/#')).toBe(false);
  });

  test('may be read for another claim, and without rules where none are asked', async () => {
    const jwt = {
      usernameClaim: 'device',
      aclClaim: undefined,
      issuer: undefined,
      audience: undefined,
    };
    const { world, sign } = await open({ jwt });
    const password = await sign({ device: 'd9', exp: NOW + 10, acl: 'ignored' });
    const answer = await world.login({ password });
    expect(answer).toMatchObject({ kind: 'admitted', username: 'd9' });
    expect(answer.kind === 'admitted' && answer.rights.isRestricted).toBe(false);
  });

  test.each<[string, JWTPayload]>([
    ['that has expired', { ...CLAIMS, exp: NOW - 61 }],
    ['that never expires', without('exp')],
    ['that is not valid yet', { ...CLAIMS, nbf: NOW + 61 }],
    ['of another issuer', { ...CLAIMS, iss: 'https://other.example' }],
    ['without an issuer', without('iss')],
    ['for somebody else', { ...CLAIMS, aud: 'other' }],
    ['without a name', without('sub')],
    ['with an empty name', { ...CLAIMS, sub: '' }],
    ['with rules of another form', { ...CLAIMS, acl: ['a/#'] }],
    ['with an unknown kind of rule', { ...CLAIMS, acl: { publish: ['a'] } }],
    ['with a rule that is no filter', { ...CLAIMS, acl: { pub: ['a/#/b'] } }],
  ])('%s is refused', async (_, claims) => {
    const { world, sign } = await open();
    const answer = await world.login({ password: await sign(claims) });
    expect(answer).toMatchObject({ kind: 'refused', reason: 'bad_credentials' });
  });

  test('without rules is refused where rules are asked and there is no ACL file', async () => {
    const { world, sign } = await open();
    const answer = await world.login({ password: await sign(without('acl')) });
    expect(answer).toMatchObject({ kind: 'refused', reason: 'not_authorized' });
  });

  test('without rules has those of the ACL file', async () => {
    const { jwks, sign } = await issuer();
    const world = await AccessWorld.open({
      auth: { jwt: JWT, aclFile: 'acl' },
      files: { jwks, acl: 'user device-1\ntopic read a\n' },
    });
    const answer = await world.login({ password: await sign(without('acl')) });
    expect(answer.kind === 'admitted' && answer.rights.mayRead('a')).toBe(true);
    expect(answer.kind === 'admitted' && answer.rights.mayPublish('a')).toBe(false);
  });

  test('is good within a minute of difference between the clocks', async () => {
    const { world, sign } = await open();
    const claims = { ...CLAIMS, exp: NOW - 50, nbf: NOW + 50 };
    expect(await world.login({ password: await sign(claims) })).toMatchObject({ kind: 'admitted' });
  });

  test('by somebody else’s key, by none, by a shared one, or changed is refused', async () => {
    const { world, sign, publicKey } = await open();
    const stranger = await issuer();
    const shared = await new SignJWT(CLAIMS)
      .setProtectedHeader({ alg: 'HS256', kid: 'ES256' })
      .sign(Buffer.from(JSON.stringify(publicKey)));
    const good = await sign(CLAIMS);
    const [header = '', , signature = ''] = good.split('.');
    const forged = Buffer.from(JSON.stringify({ ...CLAIMS, sub: 'admin' })).toString('base64url');
    const bad = [
      await stranger.sign(CLAIMS),
      new UnsecuredJWT(CLAIMS).encode(),
      `${new UnsecuredJWT(CLAIMS).encode()}x`,
      shared,
      `${header}.${forged}.${signature}`,
      good.slice(0, -3),
    ];
    for (const password of bad) {
      // From another address each, so that none is refused for the guesses before it.
      const answer = await world.login({
        password,
        remoteAddress: `10.1.0.${bad.indexOf(password)}`,
      });
      expect(answer).toMatchObject({ kind: 'refused', reason: 'bad_credentials' });
    }
  });

  test('is refused while the clock is not set', async () => {
    const { world, sign } = await open({ wallMs: Date.UTC(1970, 0, 1, 0, 5) });
    const answer = await world.login({ password: await sign(CLAIMS) });
    expect(answer).toMatchObject({ kind: 'refused' });
    expect(world.logger.entries[0]?.fields['reason']).toContain('clock of this machine');
  });

  test('of a key that was taken out is refused after a reload', async () => {
    const { world, sign } = await open();
    world.files['jwks'] = (await issuer()).jwks;
    await world.reload();
    expect(await world.login({ password: await sign(CLAIMS) })).toMatchObject({ kind: 'refused' });
  });

  test('and a password file stand side by side', async () => {
    const { jwks, sign } = await issuer();
    const world = await AccessWorld.open({
      auth: { jwt: JWT, passwordFile: 'p' },
      files: { jwks, p: '' },
    });
    expect(await world.login({ password: await sign(CLAIMS) })).toMatchObject({ kind: 'admitted' });
    expect(await world.login({ username: 'a', password: 'b' })).toMatchObject({ kind: 'refused' });
  });
});

describe('a JWKS', () => {
  test.each([
    ['not json', 'it is not JSON'],
    ['[]', 'it has no list "keys"'],
    ['{"keys": []}', 'it has no key for'],
    ['{"keys": [{"kty": "oct", "k": "AAAA", "kid": "s"}]}', 'the key "s" is a shared secret'],
  ])('%s is refused', async (jwks, problem) => {
    await expect(open({ jwks })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(problem),
    });
  });

  test('with a private key in it is refused', async () => {
    const { privateJwk } = await issuer();
    await expect(open({ jwks: JSON.stringify({ keys: [privateJwk] }) })).rejects.toThrow(
      'a key is a private one',
    );
  });
});
