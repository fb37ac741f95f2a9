import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorsOf } from './load-toml.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PAGES = ['README.md', 'src/platform/node/LISTENERS.md', 'src/auth/README.md'];

// The files that an example names are not looked for: nobody has them where this runs.
describe.each(PAGES)('%s', (page) => {
  const text = readFileSync(join(ROOT, page), 'utf8');
  const examples = [...text.matchAll(/^```toml\n(.*?)^```$/gms)].map(([, toml = '']) => toml);

  test('has an example', () => {
    expect(examples.length).toBeGreaterThan(0);
  });

  test.each(examples)('check accepts it as it stands: %#', async (example) => {
    expect(await errorsOf(example)).toEqual([]);
  });
});
