import fc from 'fast-check';

/**
 * Properties try the same values at each run, so that a change is judged by what it changes;
 * `CISTERN_PROPERTY_SEED=4711` tries others. A set-up file of Vitest.
 */
fc.configureGlobal({ seed: Number(process.env['CISTERN_PROPERTY_SEED'] ?? 20_261_123) });
