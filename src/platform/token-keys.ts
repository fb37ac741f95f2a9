/** What a token must be beside signed and unexpired. */
export interface TokenRules {
  /** Claim `iss`; undefined: any. */
  readonly issuer: string | undefined;
  /** One of claim `aud`; undefined: any. */
  readonly audience: string | undefined;
  /** Wall time, milliseconds since 1970. */
  readonly nowMs: number;
  /** How far the clocks of issuer and gateway may differ. */
  readonly leewayMs: number;
}

export type TokenVerdict =
  | {
      readonly ok: true;
      readonly claims: Readonly<Record<string, unknown>>;
      /** Wall time at which it ends, without the leeway. */
      readonly expiresAtMs: number;
    }
  /** `reason` is for the log: it has nothing of the token in it. */
  | { readonly ok: false; readonly reason: string };

/** The public keys of whoever issues tokens. */
export interface TokenKeys {
  /** Signature by RS256, ES256 or EdDSA and by one of the keys, claims `exp`, `nbf`, `iss`, `aud`. */
  verify(token: string, rules: TokenRules): Promise<TokenVerdict>;
}

/**
 * Reads a JWKS. Fails with CONFIG_INVALID where it is none, where no key in it can be used, and where
 * it holds a secret: a shared key or the private half of one.
 */
export type ReadTokenKeys = (jwks: string) => TokenKeys;
