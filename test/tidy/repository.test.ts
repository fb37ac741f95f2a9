import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { linesMatching, repositoryFiles, root } from './sources.ts';

const FOLDERS = ['build', 'firmware-bridge', 'src', 'test'];
const DOCUMENTS = ['CHANGELOG.md', 'LICENSE', 'README.md'];
const MANIFESTS = ['package-lock.json', 'package.json', 'tsconfig.json'];

const files = repositoryFiles();

function manifest(name: string): { readonly version: string } {
  return JSON.parse(readFileSync(join(root, name), 'utf8')) as { version: string };
}

describe('the repository', () => {
  test('has the top level that was agreed on, and dotfiles', () => {
    const top = new Set(files.map(({ path }) => path.split('/')[0] as string));
    const visible = [...top].filter((name) => !name.startsWith('.'));
    const allowed = [...FOLDERS, ...DOCUMENTS, ...MANIFESTS];
    expect(visible.filter((name) => !allowed.includes(name))).toEqual([]);
  });

  test.each([...DOCUMENTS, 'src/ARCHITECTURE.md', 'src/ring/DESIGN.md', 'src/ring/FORMAT.md'])(
    'has %s',
    (path) => {
      expect(existsSync(join(root, path))).toBe(true);
    },
  );

  test('carries one version', () => {
    expect(manifest('package.json').version).toMatch(/^\d+[.]\d+[.]\d+$/);
    expect(manifest('package-lock.json').version).toBe(manifest('package.json').version);
  });

  test('knows nothing of the machine it was written on', () => {
    const paths = /(^|[\s'"`(=])\/(work|root|home)\/\w/;
    const registries =
      /\b(registry|mirror|proxy|deb)[.][a-z0-9-]+[.](org|com|net|io|dev|internal)\b/;
    expect(linesMatching(files, paths)).toEqual([]);
    expect(linesMatching(files, registries)).toEqual([]);
  });

  test('holds no private key', () => {
    expect(linesMatching(files, /BEGIN [A-Z ]*PRIVATE KEY/)).toEqual([]);
  });

  test('locks every package with a hash, so that an install gives the same bytes anywhere', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { integrity?: string; resolved?: string }>;
    };
    const entries = Object.entries(lock.packages).filter(([location]) => location !== '');
    expect(entries.length).toBeGreaterThan(100);
    expect(entries.filter(([, entry]) => entry.integrity === undefined)).toEqual([]);
    expect(entries.filter(([, entry]) => entry.resolved !== undefined)).toEqual([]);
  });

  test('keeps what is built out of git', () => {
    const tracked = execFileSync('git', ['ls-files', 'build/out', 'node_modules'], { cwd: root });
    expect(tracked.toString()).toBe('');
  });
});
