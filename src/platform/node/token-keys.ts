import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet } from 'jose';
import { CisternError } from '../../base/errors.ts';
import type { TokenKeys, TokenRules, TokenVerdict } from '../token-keys.ts';

/** By public keys only. With a shared secret in the list, whoever can check a token could make one. */
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];
const KEY_TYPES: readonly unknown[] = ['RSA', 'EC', 'OKP'];

/** {@link ReadTokenKeys} by `jose`. */
export function readTokenKeys(text: string): TokenKeys {
  const jwks = parse(text);
  const keyOf = createLocalJWKSet(jwks);
  return {
    async verify(token, rules) {
      try {
        const { payload } = await jwtVerify(token, keyOf, optionsOf(rules));
        return { ok: true, claims: payload, expiresAtMs: (payload.exp ?? 0) * 1000 };
      } catch (error) {
        return refusal(error);
      }
    },
  };
}

function optionsOf({ issuer, audience, nowMs, leewayMs }: TokenRules) {
  return {
    algorithms: ALGORITHMS,
    // A token without an end could never be taken back but by a change of the keys.
    requiredClaims: ['exp'],
    currentDate: new Date(nowMs),
    clockTolerance: leewayMs / 1000,
    ...(issuer !== undefined && { issuer }),
    ...(audience !== undefined && { audience }),
  };
}

function refusal(error: unknown): TokenVerdict {
  if (error instanceof errors.JWTExpired) return { ok: false, reason: 'the token has expired' };
  if (error instanceof errors.JWTClaimValidationFailed) {
    return { ok: false, reason: `the token's claim ${error.claim} is not as it must be` };
  }
  if (error instanceof errors.JWKSNoMatchingKey) {
    return { ok: false, reason: 'no key in the JWKS fits the token' };
  }
  if (error instanceof errors.JWKSMultipleMatchingKeys) {
    return { ok: false, reason: 'several keys in the JWKS fit the token, which names none (kid)' };
  }
  if (error instanceof errors.JOSEAlgNotAllowed) {
    return { ok: false, reason: 'the token is not signed by RS256, ES256 or EdDSA' };
  }
  if (error instanceof errors.JOSEError) return { ok: false, reason: 'the token is not genuine' };
  // A key that the library cannot use shows itself here, as a TypeError or a DOMException.
  return { ok: false, reason: 'the key for the token cannot be used' };
}

function parse(text: string): JSONWebKeySet {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw unusable('it is not JSON', cause);
  }
  if (!isJwks(document)) throw unusable('it has no list "keys"');
  for (const key of document.keys) {
    const name = key.kid === undefined ? 'a key' : `the key "${key.kid}"`;
    if (key.kty === 'oct') throw unusable(`${name} is a shared secret`);
    if ('d' in key) throw unusable(`${name} is a private one`);
  }
  const usable = document.keys.filter(({ kty, use }) => {
    return KEY_TYPES.includes(kty) && (use === undefined || use === 'sig');
  });
  if (usable.length === 0) throw unusable('it has no key for RS256, ES256 or EdDSA');
  return { keys: usable };
}

function isJwks(document: unknown): document is JSONWebKeySet {
  if (typeof document !== 'object' || document === null || !('keys' in document)) return false;
  const { keys } = document;
  return Array.isArray(keys) && keys.every((key) => typeof key === 'object' && key !== null);
}

function unusable(problem: string, cause?: unknown): CisternError {
  return new CisternError('CONFIG_INVALID', `The JWKS cannot be used: ${problem}.`, {
    cause,
    remedy: 'Write {"keys": […]} with the public keys of the issuer.',
  });
}
