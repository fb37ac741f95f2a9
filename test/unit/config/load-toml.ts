import { CisternError } from '../../../src/base/errors.ts';
import type { ConfigOverrides, LoadedConfig } from '../../../src/config/load.ts';
import { loadConfig } from '../../../src/config/load.ts';

/** Loads `source` as the file `cistern.toml`. */
export function load(source: string, overrides: ConfigOverrides = {}): Promise<LoadedConfig> {
  return loadConfig({
    path: 'cistern.toml',
    overrides,
    readText: () => Promise.resolve(source),
  });
}

/** The errors of `source`, each as one text of two lines. */
export async function errorsOf(source: string, overrides: ConfigOverrides = {}): Promise<string[]> {
  try {
    await load(source, overrides);
  } catch (error) {
    if (!(error instanceof CisternError) || error.code !== 'CONFIG_INVALID') throw error;
    const [, ...lines] = error.message.split('\n');
    return lines.flatMap((line, index) =>
      index % 2 === 0 ? [`${line}\n${(lines[index + 1] ?? '').trim()}`] : [],
    );
  }
  return [];
}
