import { build, type Plugin } from 'esbuild';
import { root } from './step.ts';

/**
 * Packages are taken in the form they offer to `require`, because their ESM forms look for files
 * beside themselves by `import.meta.url`, which a CommonJS bundle does not have.
 */
const packagesAsCommonJs: Plugin = {
  name: 'packages-as-commonjs',
  setup(bundler) {
    bundler.onResolve({ filter: /^[^./]/ }, async (request) => {
      if (request.pluginData === 'resolved' || request.kind !== 'import-statement')
        return undefined;
      return bundler.resolve(request.path, {
        kind: 'require-call',
        resolveDir: request.resolveDir,
        importer: request.importer,
        pluginData: 'resolved',
      });
    });
  },
};

/** lmdb finds its native part through this package; the executable carries the part as an asset. */
const nativeFromAsset: Plugin = {
  name: 'native-from-asset',
  setup(bundler) {
    bundler.onResolve({ filter: /^node-gyp-build-optional-packages$/ }, () => ({
      path: `${root}/build/native/load-lmdb.ts`,
    }));
  },
};

/**
 * Writes `entry` and all it imports as one CommonJS file, which is what Node 24 can put into an
 * executable. Names and lines are kept: a stack trace from the field is worth more than 0.3 MB.
 */
export async function bundle(entry: string, output: string): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile: output,
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24',
    // Optional accelerators that their owners go without.
    external: ['cbor-extract', 'msgpackr-extract', 'bufferutil', 'utf-8-validate'],
    plugins: [nativeFromAsset, packagesAsCommonJs],
    logLevel: 'warning',
  });
}
