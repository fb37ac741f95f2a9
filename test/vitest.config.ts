import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/fixtures/**', 'node_modules/**'],
    environment: 'node',
    testTimeout: 20_000,
    hookTimeout: 20_000,
    // A suite that a wrong path or a filter left empty must not look like one that passed.
    passWithNoTests: false,
    restoreMocks: true,
  },
});
