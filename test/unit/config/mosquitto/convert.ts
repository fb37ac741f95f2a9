import { parse } from 'smol-toml';
import { formatNote, importMosquitto } from '../../../../src/config/mosquitto/import.ts';
import type { LoadedConfig } from '../../../../src/config/load.ts';
import { load } from '../load-toml.ts';

interface Converted {
  readonly toml: string;
  /** What needs attention, a line each. */
  readonly attention: readonly string[];
  readonly withoutEffect: readonly string[];
  /** As `cistern check` reads it; rejects where that finds an error. */
  checked(): Promise<LoadedConfig>;
  /**
   * The document with all that is held back, too: what a later version, or somebody who read the
   * reasons, would have.
   */
  opened(): Record<string, unknown>;
}

/** Imports `text` as the file `m.conf`, beside `files` by their paths. */
export async function convert(
  text: string,
  files: Readonly<Record<string, string>> = {},
): Promise<Converted> {
  const all = new Map([['m.conf', text], ...Object.entries(files)]);
  const { toml, attention, withoutEffect } = await importMosquitto('m.conf', {
    readText(path) {
      const found = all.get(path);
      return found === undefined
        ? Promise.reject(new Error('no such file'))
        : Promise.resolve(found);
    },
    listDirectory(path) {
      const inside = [...all.keys()].filter((name) => name.startsWith(`${path}/`));
      const names = inside.map((name) => name.slice(path.length + 1));
      return names.length === 0
        ? Promise.reject(new Error('no such directory'))
        : Promise.resolve(names);
    },
  });
  return {
    toml,
    attention: attention.map(formatNote),
    withoutEffect: withoutEffect.map(formatNote),
    checked: () => load(toml),
    opened: () => parse(toml.replaceAll(/^(# )+(?=\[+[a-z.]+\]|[a-z_]+ = )/gm, '')),
  };
}
