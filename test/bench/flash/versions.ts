import { readFileSync } from 'node:fs';

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
const manifest = JSON.parse(text) as Manifest;

export const cisternVersion = manifest.version;

/** Of a package that this repository depends on; all are named by exact version. */
export function versionOf(name: string): string {
  return manifest.dependencies[name] ?? manifest.devDependencies[name] ?? 'of no known version';
}
