import { createHash } from 'node:crypto';
import { chmod, copyFile, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { runTool, type ToolResult } from './step.ts';
import type { Target } from './target.ts';

/** Node looks for this name, which postject overwrites its last byte of, to see that it has a blob. */
const SENTINEL = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/**
 * Baked into the executable; NODE_OPTIONS is ignored. The young generation decides how much memory the
 * broker takes: V8's own choice is 16 MiB a semi-space, and messages die young whatever its size. The
 * way of a PUBLISH is thirty small calls; V8 inlines half of them unless told otherwise, which costs 8 %
 * of the messages a second.
 */
const NODE_FLAGS = [
  '--max-semi-space-size=4',
  '--max-inlined-bytecode-size=1500',
  '--max-inlined-bytecode-size-cumulative=3000',
  // A signal must not open a debugger's port.
  '--disable-sigusr1',
];

function demand(step: string, result: ToolResult): void {
  if (result.exitCode === 0) return;
  throw new Error(`${step} failed (${result.exitCode}):\n${result.stdout}${result.stderr}`);
}

/** The bundle and its assets as one blob in the form Node reads, made beside the bundle. */
async function makeBlob(target: Target, bundlePath: string): Promise<string> {
  const folder = dirname(bundlePath);
  const hash = createHash('sha256').update(await readFile(target.addon));
  const hashPath = `${folder}/lmdb.sha256`;
  await writeFile(hashPath, hash.digest('hex').slice(0, 16));
  const blobPath = `${folder}/cistern.blob`;
  const configPath = `${folder}/sea.json`;
  const config = {
    // A name without its folder: it shows in stack traces, and the same sources give the same file.
    main: basename(bundlePath),
    output: blobPath,
    disableExperimentalSEAWarning: true,
    // Compiled code is for one processor and saves about 15 ms of each start. It is the one part of
    // the file that differs from build to build: V8 with fixed seeds makes it the same each time, but
    // then refuses it at run time unless it runs with the same seeds, and a known hash seed is an attack.
    useCodeCache: target.arch === process.arch,
    useSnapshot: false,
    execArgv: NODE_FLAGS,
    execArgvExtension: 'none',
    assets: { 'lmdb.node': target.addon, 'lmdb.sha256': hashPath },
  };
  await writeFile(configPath, JSON.stringify(config));
  demand(
    'the blob',
    // With the same flags: V8 refuses compiled code that was made under others.
    await runTool('node', [...NODE_FLAGS, '--experimental-sea-config', configPath], {
      cwd: folder,
    }),
  );
  return blobPath;
}

/**
 * Makes `output`, which must be a name nobody is running. Returns remarks for the user.
 *
 * The order matters: a binary that is stripped after the blob went in starts and prints nothing.
 */
export async function makeExecutable(
  target: Target,
  bundlePath: string,
  output: string,
): Promise<readonly string[]> {
  const remarks: string[] = [];
  const blob = await makeBlob(target, bundlePath);
  await copyFile(target.node, output);
  await chmod(output, 0o755);
  const stripped = await runTool('/usr/bin/env', [target.strip, output]);
  if (stripped.exitCode === 127) {
    remarks.push(`${target.strip} is not installed (Debian: binutils): the file is 18 MB larger`);
  } else {
    demand('strip', stripped);
  }
  demand(
    'postject',
    await runTool('postject', [output, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', SENTINEL]),
  );
  return remarks;
}
