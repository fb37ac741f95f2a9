import { describe, expect, test } from 'vitest';
import {
  nameProblem,
  withoutUser,
  withPlainHashed,
  withUser,
} from '../../../src/auth/password-editor.ts';
import { parsePasswordFile } from '../../../src/auth/password-file.ts';
import { createNodePasswordHashing } from '../../../src/platform/node/password-hashing.ts';
import { SimRandom } from '../../support/sim-random.ts';

const FILE = '# our devices\nann:$7$old\n\n# the boiler\nbob:$7$bob\nann:$7$again';

describe('a password file', () => {
  test('keeps comments and order when a user changes, and has each user once', () => {
    expect(withUser(FILE, 'ann', '$7$new')).toBe(
      '# our devices\nann:$7$new\n\n# the boiler\nbob:$7$bob\n',
    );
  });

  test('has a new user at the end, also where the last line was not ended', () => {
    expect(withUser('bob:$7$bob', 'cat', '$7$cat')).toBe('bob:$7$bob\ncat:$7$cat\n');
    expect(withUser('', 'cat', '$7$cat')).toBe('cat:$7$cat\n');
  });

  test('loses every entry of a user who is deleted, and nothing else', () => {
    expect(withoutUser(FILE, 'ann')).toBe('# our devices\n\n# the boiler\nbob:$7$bob\n');
    expect(withoutUser(FILE, 'an')).toBeUndefined();
  });

  test('has its plain passwords hashed, and what is hashed left alone', async () => {
    const hashing = createNodePasswordHashing();
    const maker = { hashing, random: new SimRandom(1), iterations: 3 };
    const plain = '# c: d\nann:secret\n\nbob:other\n';
    const once = await withPlainHashed(plain, maker);
    expect(once.count).toBe(2);
    expect(once.text).toMatch(/^# c: d\nann:\$7\$3\$\S+\n\nbob:\$7\$3\$\S+\n$/);
    expect([...parsePasswordFile(once.text, 'p').keys()]).toEqual(['ann', 'bob']);
    expect(await withPlainHashed(once.text, maker)).toEqual({ text: once.text, count: 0 });
  });
});

test.each(['', 'a:b', 'a\nb', ' a', 'a ', '#a', 'x'.repeat(65_536)])(
  'the name %j cannot be in it',
  (name) => {
    expect(nameProblem(name)).not.toBeUndefined();
  },
);

test.each(['a', 'a b', 'größe', 'a#', 'x'.repeat(65_535)])('the name %j can', (name) => {
  expect(nameProblem(name)).toBeUndefined();
});
