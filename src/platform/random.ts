/** Randomness, handed in so that one seed replays a day. */
export interface Random {
  /** Cryptographic in the real implementation: used for ids, salts and lineages. */
  bytes(length: number): Uint8Array;
  /** Uniform in [0, 1). Used for jitter. */
  fraction(): number;
}
