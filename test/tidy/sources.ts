import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface SourceFile {
  /** From the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** Files that git tracks or would (new and not ignored), text ones only, without the fixtures. */
export function repositoryFiles(): readonly SourceFile[] {
  const listing = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  return listing
    .split('\0')
    .filter((path) => path !== '' && !path.startsWith('test/tidy/fixtures/'))
    .filter((path) => existsSync(join(root, path)))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
    .filter(({ text }) => !text.includes('\0'));
}

/** TypeScript of ours, and the plain JavaScript of build/. */
export function codeFiles(): readonly SourceFile[] {
  return repositoryFiles().filter(({ path }) =>
    /^(src|firmware-bridge|test|build)\/.*[.](ts|mjs|cjs)$/.test(path),
  );
}

export function underSrc(): readonly SourceFile[] {
  return codeFiles().filter(({ path }) => path.startsWith('src/'));
}

/** `path:line: text` for every line of `files` that `pattern` matches. */
export function linesMatching(files: readonly SourceFile[], pattern: RegExp): readonly string[] {
  return files.flatMap(({ path, text }) =>
    text
      .split('\n')
      .map((line, index) => ({ line, at: `${path}:${index + 1}` }))
      .filter(({ line }) => pattern.test(line))
      .map(({ line, at }) => `${at}: ${line.trim()}`),
  );
}
