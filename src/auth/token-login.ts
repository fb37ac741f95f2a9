import { isValidTopicFilter } from '../codec/topic.ts';
import type { JwtConfig } from '../config/types.ts';
import type { TokenKeys } from '../platform/token-keys.ts';
import type { AclAccess, AclRule } from './acl-file.ts';

/** How far the clock of the gateway may be from the issuer's. */
const LEEWAY_MS = 60_000;
/**
 * 2025-01-01. A machine without a clock chip starts in 1970, at the date of its image or at the last
 * shutdown. A clock before this is surely wrong, and by it a token that ended long ago is still good.
 */
const EARLIEST_TIME_MS = 1_735_689_600_000;
/** A token is sent with every CONNECT, so what it may list is bounded by the packet; this bounds its cost. */
const MAX_TOKEN_RULES = 1_000;

export type TokenLogin =
  | {
      readonly ok: true;
      readonly username: string;
      /** What the token allows; undefined where it says nothing, or is not asked. */
      readonly rules: readonly AclRule[] | undefined;
      readonly endsAtMs: number;
    }
  | { readonly ok: false; readonly reason: string };

/** Three parts in base64url, the first of which is a JSON object: what no password is by accident. */
export function looksLikeToken(password: Uint8Array): boolean {
  return /^eyJ[\w-]*\.[\w-]+\.[\w-]+$/.test(Buffer.from(password).toString('latin1'));
}

/** Checks the token that a client gave as its password. */
export async function checkToken(
  password: Uint8Array,
  keys: TokenKeys,
  config: JwtConfig,
  nowMs: number,
): Promise<TokenLogin> {
  if (nowMs < EARLIEST_TIME_MS) {
    return refuse('the clock of this machine is not set, so no token can be checked');
  }
  const token = Buffer.from(password).toString('latin1');
  const { issuer, audience, usernameClaim, aclClaim } = config;
  const verdict = await keys.verify(token, { issuer, audience, nowMs, leewayMs: LEEWAY_MS });
  if (!verdict.ok) return verdict;
  const username = verdict.claims[usernameClaim];
  if (typeof username !== 'string' || username === '') {
    return refuse(`the token has no user name in its claim ${usernameClaim}`);
  }
  const rules = aclClaim === undefined ? undefined : readRules(verdict.claims[aclClaim]);
  if (rules === null) return refuse(`the token's claim ${aclClaim} is not of the documented form`);
  return { ok: true, username, rules, endsAtMs: verdict.expiresAtMs + LEEWAY_MS };
}

/** `{ "pub": […], "sub": […], "all": […], "deny": […] }`; null where it is not of that form. */
function readRules(claim: unknown): readonly AclRule[] | undefined | null {
  if (claim === undefined) return undefined;
  if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) return null;
  const rules: AclRule[] = [];
  for (const [name, filters] of Object.entries(claim)) {
    const access = ACCESS_BY_NAME.get(name);
    if (access === undefined || !Array.isArray(filters)) return null;
    for (const filter of filters) {
      if (typeof filter !== 'string' || !isValidTopicFilter(filter)) return null;
      rules.push({ access, filter });
    }
  }
  return rules.length > MAX_TOKEN_RULES ? null : rules;
}

const ACCESS_BY_NAME: ReadonlyMap<string, AclAccess> = new Map<string, AclAccess>([
  ['pub', 'write'],
  ['sub', 'read'],
  ['all', 'readwrite'],
  ['deny', 'deny'],
]);

function refuse(reason: string): TokenLogin {
  return { ok: false, reason };
}
