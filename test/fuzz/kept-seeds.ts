import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A seed that failed once. Each is replayed by every test run, for good. */
export interface KeptSeed {
  readonly kind: 'storm' | 'decoder';
  readonly seed: number;
  /** What it found, in a few words. */
  readonly found: string;
}

const PATH = fileURLToPath(new URL('kept-seeds.json', import.meta.url));

export function keptSeeds(): readonly KeptSeed[] {
  return JSON.parse(readFileSync(PATH, 'utf8')) as KeptSeed[];
}

export function keepSeed(seed: KeptSeed): void {
  const lines = [...keptSeeds(), seed].map((kept) => `  ${JSON.stringify(kept)}`);
  writeFileSync(PATH, `[\n${lines.join(',\n')}\n]\n`);
}
