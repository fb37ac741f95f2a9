import { existsSync } from 'node:fs';
import { runChild } from './child.mjs';

const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The path of a system program, also one in `sbin`, which is not on every user's PATH. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), ...FOLDERS];
  return folders.map((folder) => `${folder}/${name}`).find((path) => existsSync(path));
}

async function apt(args: readonly string[]): Promise<number> {
  const isRoot = process.getuid?.() === 0;
  const command = isRoot ? 'apt-get' : 'sudo';
  const before = isRoot ? [] : ['-n', 'apt-get'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const stdio = ['ignore', 'ignore', 'inherit'] as const;
  return runChild(command, [...before, ...args], { env, stdio: [...stdio] });
}

/**
 * Installs `debianPackage`, and what it is of no use without, where `program` is missing. Fails with
 * what the user can do where this user may not install packages or the system is not Debian.
 */
export async function ensureProgram(
  program: string,
  debianPackage: string,
  ...others: readonly string[]
): Promise<string> {
  const present = findProgram(program);
  if (present !== undefined) return present;
  const remedy = `install it with: sudo apt-get install ${debianPackage}`;
  if (findProgram('apt-get') === undefined) {
    throw new Error(`the tests need ${program}; ${remedy}, or what your system calls it`);
  }
  console.error(`Installing ${debianPackage}, which the tests need ...`);
  // The lists may be old, or there may be none; one try without them is cheap.
  const install = ['install', '-y', '-q', '--no-install-recommends', debianPackage, ...others];
  if ((await apt(install)) !== 0) {
    await apt(['update', '-q']);
    if ((await apt(install)) !== 0) throw new Error(`the tests need ${program}; ${remedy}`);
  }
  const installed = findProgram(program);
  if (installed === undefined) throw new Error(`${debianPackage} brought no ${program}`);
  return installed;
}
