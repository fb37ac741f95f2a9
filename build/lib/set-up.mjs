// Plain JavaScript, because it runs on whatever Node the machine has, before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The repository's root, without a slash at the end. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
/** Node 24, from the npm package for this machine's processor. */
export const node24 = `${root}/node_modules/.bin/node`;

const folder = `${root}/node_modules`;
const stampPath = `${folder}/.cistern-lock`;

function lockHash() {
  const hash = createHash('sha256');
  hash.update(readFileSync(`${root}/package-lock.json`));
  hash.update(process.arch);
  return hash.digest('hex');
}

function isInstalled(hash) {
  if (!existsSync(node24) || !existsSync(stampPath)) return false;
  return readFileSync(stampPath, 'utf8').trim() === hash;
}

/**
 * Installs from the lock file where `node_modules` is missing or was made from another lock file.
 * Ends the process with npm's exit code when that fails.
 */
export function ensureInstalled() {
  if (process.platform !== 'linux') {
    console.error('Cistern is built and tested on Linux (x64 and arm64) only.');
    process.exit(1);
  }
  const hash = lockHash();
  if (isInstalled(hash)) return;
  if (lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    // npm ci would empty what the link leads to, which is somebody else's.
    console.error(`${folder} is a link to packages of another lock file: remove it.`);
    process.exit(1);
  }
  console.error('Installing the packages of package-lock.json (once; about 500 MB) ...');
  // npm warns that some tools want a newer Node than the system's: they get Node 24 from the lock file.
  const npmArguments = ['ci', '--loglevel=error', '--ignore-scripts'];
  const npmScript = process.env['npm_execpath'];
  const options = { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] };
  const result = npmScript?.endsWith('.js')
    ? spawnSync(process.execPath, [npmScript, ...npmArguments], options)
    : spawnSync('npm', npmArguments, options);
  if (result.status !== 0) {
    console.error('npm ci failed: is the package registry reachable?');
    process.exit(result.status ?? 1);
  }
  if (!existsSync(node24)) {
    console.error(`There is no Node 24 package for this processor (${process.arch}).`);
    process.exit(1);
  }
  writeFileSync(stampPath, `${hash}\n`);
}

/** The environment for a tool: the packages' programs, Node 24 among them, come first. */
export function toolEnvironment() {
  return { ...process.env, PATH: `${root}/node_modules/.bin:${process.env['PATH'] ?? ''}` };
}
