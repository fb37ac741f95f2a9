/** How a hash is made of a password. Salt and result are bytes; `memoryKib` is KiB. */
export type PasswordRecipe =
  | { readonly scheme: 'sha512'; readonly salt: Uint8Array }
  | { readonly scheme: 'pbkdf2-sha512'; readonly salt: Uint8Array; readonly iterations: number }
  | {
      readonly scheme: 'argon2id';
      readonly salt: Uint8Array;
      readonly memoryKib: number;
      readonly passes: number;
      readonly lanes: number;
    };

/** Slow hashes of passwords, away from the event loop. */
export interface PasswordHashing {
  /** `lengthBytes` of hash; `sha512` gives 64 whatever was asked. Runs in a thread of the pool. */
  derive(password: Uint8Array, recipe: PasswordRecipe, lengthBytes: number): Promise<Uint8Array>;
  /**
   * A digest of the parts under a random key that only this process has and that is never written.
   * Equal parts give equal digests for as long as the process lives.
   */
  seal(parts: readonly Uint8Array[]): string;
}
