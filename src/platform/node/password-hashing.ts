import { argon2, createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { PasswordHashing, PasswordRecipe } from '../password-hashing.ts';

const derivePbkdf2 = promisify(pbkdf2);
const deriveArgon2 = promisify(argon2);

export function createNodePasswordHashing(): PasswordHashing {
  const key = randomBytes(32);
  return {
    derive,
    seal(parts) {
      const mac = createHmac('sha256', key);
      const length = new Uint8Array(4);
      for (const part of parts) {
        // With its length before it, so that no two lists of parts read the same.
        new DataView(length.buffer).setUint32(0, part.length);
        mac.update(length).update(part);
      }
      return mac.digest('base64');
    },
  };
}

async function derive(
  password: Uint8Array,
  recipe: PasswordRecipe,
  lengthBytes: number,
): Promise<Uint8Array> {
  switch (recipe.scheme) {
    case 'sha512':
      // One round of a fast hash is cheaper than the way to another thread.
      return createHash('sha512').update(password).update(recipe.salt).digest();
    case 'pbkdf2-sha512':
      return derivePbkdf2(password, recipe.salt, recipe.iterations, lengthBytes, 'sha512');
    case 'argon2id':
      return deriveArgon2('argon2id', {
        message: password,
        nonce: recipe.salt,
        parallelism: recipe.lanes,
        tagLength: lengthBytes,
        memory: recipe.memoryKib,
        passes: recipe.passes,
      });
  }
}
