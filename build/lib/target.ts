import { readFile } from 'node:fs/promises';
import { root } from './step.ts';

/** A processor an executable can be made for, with what goes into it. */
export interface Target {
  readonly arch: 'x64' | 'arm64';
  /** Node as its npm package ships it: the base of the executable. */
  readonly node: string;
  /** LMDB's native part, from its npm package. */
  readonly addon: string;
  /** The `strip` that understands this processor's programs. */
  readonly strip: string;
}

/**
 * The target for `arch`. Its packages must be installed, and its Node must be of the version that runs
 * this program: a blob made by another version crashes at start.
 */
export async function targetFor(arch: string): Promise<Target> {
  if (arch !== 'x64' && arch !== 'arm64')
    throw new Error(`there is no package of Node for ${arch}`);
  const nodePackage = `${root}/node_modules/node-linux-${arch}`;
  const { version } = JSON.parse(await readFile(`${nodePackage}/package.json`, 'utf8')) as {
    version: string;
  };
  if (`v${version}` !== process.version) {
    throw new Error(`this program runs on Node ${process.version} and must run on v${version}`);
  }
  const strip = arch === process.arch ? 'strip' : 'aarch64-linux-gnu-strip';
  return {
    arch,
    node: `${nodePackage}/bin/node`,
    addon: `${root}/node_modules/@lmdb/lmdb-linux-${arch}/node.napi.glibc.node`,
    strip,
  };
}
