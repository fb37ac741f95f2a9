/**
 * Puts a current Mosquitto, Debian unstable's, beside the installed one: `build/out/mosquitto-sid`,
 * with every library it needs, the C library included. Nothing on the machine is changed.
 *
 *   node build/with-node24.mjs test/bench/fetch-mosquitto.ts      (Debian or a relative, about 15 MB)
 *
 * It asks apt for the packages, with lists and a cache of its own, so mirrors and proxies that the
 * machine is set up for hold here too, and signatures are checked.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { currentMosquitto, currentMosquittoFolder, libraryTriplet } from './current-mosquitto.ts';

const execute = promisify(execFile);
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';
const work = `${currentMosquittoFolder}.partial`;

/** apt with nothing of the machine's but its configuration of mirrors and proxies. */
async function apt(program: string, ...args: readonly string[]): Promise<string> {
  const settings = [
    `Dir::Etc::sourcelist=${join(work, 'sources.list')}`,
    'Dir::Etc::sourceparts=/dev/null',
    `Dir::State=${join(work, 'state')}`,
    'Dir::State::status=/dev/null',
    `Dir::Cache=${join(work, 'cache')}`,
    'APT::Sandbox::User=root',
  ];
  const options = settings.flatMap((setting) => ['-o', setting]);
  const { stdout } = await execute(program, [...options, ...args], { cwd: work });
  return stdout;
}

/** Mosquitto and the libraries it needs, and those that they need; not what sets up a machine. */
async function neededPackages(): Promise<string[]> {
  const kinds = ['recommends', 'suggests', 'conflicts', 'breaks', 'replaces', 'enhances'];
  const found = new Set(['mosquitto']);
  for (let latest = [...found]; latest.length > 0; ) {
    const listing = await apt('apt-cache', 'depends', ...kinds.map((k) => `--no-${k}`), ...latest);
    const names = [...listing.matchAll(/Depends: ((?:lib|zlib)\S+)/g)].map(
      ([, name]) => name ?? '',
    );
    latest = [...new Set(names)].filter((name) => !found.has(name));
    for (const name of latest) found.add(name);
  }
  return [...found];
}

/** Where this machine takes Debian's packages from. */
async function mirror(): Promise<string> {
  const format = ['--format', '$(REPO_URI)'];
  const { stdout } = await execute('apt-get', ['indextargets', ...format, 'Created-By: Packages']);
  const found = stdout.split('\n').find((uri) => /\/debian\/?$/.test(uri));
  if (found === undefined) throw new Error('apt has no mirror of Debian to fetch from.');
  return found;
}

async function fetchAll(): Promise<void> {
  await rm(work, { recursive: true, force: true });
  for (const folder of ['state/lists/partial', 'cache/archives/partial', 'root']) {
    await mkdir(join(work, folder), { recursive: true });
  }
  await writeFile(
    join(work, 'sources.list'),
    `deb [signed-by=${KEYS}] ${await mirror()} sid main\n`,
  );
  await apt('apt-get', '--quiet', 'update');
  await apt('apt-get', '--quiet', 'download', ...(await neededPackages()));
  for (const name of await readdir(work)) {
    if (name.endsWith('.deb'))
      await execute('dpkg-deb', ['-x', join(work, name), join(work, 'root')]);
  }
  // The links by which programs name libraries are otherwise made when packages are installed.
  await execute('/sbin/ldconfig', ['-n', join(work, 'root/usr/lib', libraryTriplet)]);
  await rm(currentMosquittoFolder, { recursive: true, force: true });
  await rename(join(work, 'root'), currentMosquittoFolder);
  await rm(work, { recursive: true, force: true });
}

await fetchAll();
const { command, args } = currentMosquitto;
// Without a configuration `-h` only prints; Mosquitto ends with 3 or 1 after it, by version.
try {
  execFileSync(command, [...args, '-h'], { stdio: ['ignore', 'inherit', 'inherit'] });
} catch (error) {
  if (!(error instanceof Error && 'status' in error && error.status !== null)) throw error;
}
