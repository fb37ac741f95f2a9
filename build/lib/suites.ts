/** Folders of test/ that need nothing but Node: seconds each, on virtual time and simulated disks. */
export const FAST_FOLDERS = [
  'test/unit',
  'test/property',
  'test/contract',
  'test/power-loss',
  'test/conformance',
  'test/fuzz',
  'test/simulation',
  'test/tidy',
] as const;

/** Folders that run the executable, real servers, real files or other tools, one file after the other. */
export const REAL_FOLDERS = ['test/model', 'test/interop', 'test/system'] as const;

export const FAST_ARGUMENTS = ['run', '--config', 'test/vitest.config.ts', ...FAST_FOLDERS];

export const REAL_ARGUMENTS = [
  'run',
  '--config',
  'test/vitest.config.ts',
  '--no-file-parallelism',
  '--testTimeout=120000',
  '--hookTimeout=120000',
  ...REAL_FOLDERS,
];
