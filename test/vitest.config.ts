import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/fixtures/**', 'node_modules/**'],
    environment: 'node',
    setupFiles: ['test/support/property-seed.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // Of `test.concurrent`, which is for tests that wait for a process and do little themselves.
    maxConcurrency: 12,
    // A suite that a wrong path or a filter left empty must not look like one that passed.
    passWithNoTests: false,
    restoreMocks: true,
  },
});
