import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { root } from './step.ts';

/** All that decides the executable's contents. Folders count with every file in them. */
const INPUTS = [
  'package.json',
  'package-lock.json',
  'build/executable.ts',
  'build/lib',
  'build/native',
  'src',
];

async function filesOf(path: string): Promise<readonly string[]> {
  const entries = await readdir(`${root}/${path}`, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOTDIR') return undefined;
      throw error;
    },
  );
  if (entries === undefined) return [`${root}/${path}`];
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md'))
    .map((entry) => `${entry.parentPath}/${entry.name}`)
    .sort();
}

/** A hash of the executable's inputs: what was built from the same ones need not be built again. */
export async function hashInputs(entry: string): Promise<string> {
  const hash = createHash('sha256').update(`${entry} ${process.arch} ${process.version}`);
  for (const input of INPUTS) {
    for (const path of await filesOf(input)) {
      hash.update(`\0${path.slice(root.length)}\0`).update(await readFile(path));
    }
  }
  return hash.digest('hex');
}
