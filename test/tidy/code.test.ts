import { describe, expect, test } from 'vitest';
import { functionLengths } from './functions.ts';
import { codeFiles, linesMatching, underSrc } from './sources.ts';

/** The aim is 500 lines and a screen; beyond these a file or a function must be split. */
const MAX_FILE_LINES = 700;
const MAX_FUNCTION_LINES = 120;

const CANARIES = 'test/tidy/canary.test.ts';

const code = codeFiles();

describe('the code', () => {
  test('is found at all', () => {
    expect(underSrc().length).toBeGreaterThan(50);
    expect(code.length).toBeGreaterThan(underSrc().length);
  });

  test(`has no file of more than ${MAX_FILE_LINES} lines`, () => {
    const long = code
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > MAX_FILE_LINES)
      .map(({ path, lines }) => `${path}: ${lines}`);
    expect(long).toEqual([]);
  });

  test(`has no function of more than ${MAX_FUNCTION_LINES} lines`, () => {
    const all = code.filter(({ path }) => path.endsWith('.ts')).flatMap(functionLengths);
    const long = all.filter(({ lines }) => lines > MAX_FUNCTION_LINES);
    expect(all.length).toBeGreaterThan(500);
    expect(long).toEqual([]);
  });

  test('measures functions to the line', () => {
    const text = [
      'const one = 1;',
      'class Thing {',
      '  method(): void {',
      '    [one].map((value) =>',
      '      value + 1,',
      '    );',
      '  }',
      '}',
      "describe.each([1])('é', () => {",
      '  function inner() {',
      '  }',
      '});',
    ].join('\n');
    expect(functionLengths({ path: 'a.ts', text })).toEqual([
      { at: 'a.ts:3 method', lines: 5 },
      { at: 'a.ts:4 (anonymous)', lines: 2 },
      { at: 'a.ts:10 inner', lines: 2 },
    ]);
  });

  test('leaves nothing for later', () => {
    // In two pieces, or this line would be what it looks for.
    const later = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`);
    expect(linesMatching(code, later)).toEqual([]);
  });

  test('swallows no error', () => {
    const swallowing = /\bcatch\s*(\([^)]*\))?\s*\{\s*\}|[.]catch\(\(\)\s*=>\s*\{\s*\}\)/;
    const found = code.filter(({ text }) => swallowing.test(text)).map(({ path }) => path);
    expect(found.filter((path) => path !== CANARIES)).toEqual([]);
    // The canaries hold one on purpose, which shows that the pattern finds it.
    expect(found).toContain(CANARIES);
  });

  test('has no drawer for all sorts, and no file that only passes others on', () => {
    const named = code.filter(({ path }) =>
      /\/(utils?|helpers?|common|misc|index)[.]\w+$/.test(path),
    );
    const barrels = code.filter(({ text }) => {
      const statements = text
        .replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
        .split(';')
        .map((statement) => statement.trim())
        .filter((statement) => statement !== '');
      const isReexport = (statement: string): boolean =>
        /^export\s+(type\s+)?(\*|\{)[\s\S]*\bfrom\b/.test(statement);
      return statements.length > 0 && statements.every(isReexport);
    });
    expect([...named, ...barrels].map(({ path }) => path)).toEqual([]);
  });

  test('ends the process in main.ts only', () => {
    const callers = linesMatching(underSrc(), /\bprocess[.]exit\s*\(/).map(
      (line) => line.split(':')[0],
    );
    expect([...new Set(callers)]).toEqual(['src/main.ts']);
  });

  test('opens LMDB in one file only', () => {
    const importers = linesMatching(underSrc(), /from 'lmdb'/).map((line) => line.split(':')[0]);
    expect([...new Set(importers)]).toEqual(['src/metadata/lmdb-checkpoint.ts']);
  });

  test('has no state of its own in a module', () => {
    expect(linesMatching(underSrc(), /^(export )?(let|var) /)).toEqual([]);
    expect(
      linesMatching(
        underSrc(),
        /^\s*(private |protected )?static (?!readonly|async|#?\w+\(|#?\w+<)/,
      ),
    ).toEqual([]);
  });
});
