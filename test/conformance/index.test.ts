import { describe, expect, test } from 'vitest';
import { SCENARIOS } from './all-scenarios.ts';
import { KNOWN_GAPS, knownGapOf } from './known-gaps.ts';
import { NOT_APPLICABLE_311, NOT_APPLICABLE_5 } from './not-applicable.ts';
import { nameOf, type Scenario } from './scenario.ts';
import { STATEMENTS_311 } from './statements-3.1.1.ts';
import { STATEMENTS_5 } from './statements-5.0.ts';

const scenarios = Object.values(SCENARIOS).flat();

interface Index {
  readonly version: '3.1.1' | '5.0';
  readonly statements: Readonly<Record<string, string>>;
  readonly notApplicable: Readonly<Record<string, string>>;
  readonly scenarios: readonly Scenario[];
  /** As counted in appendix B of the standard. */
  readonly count: number;
}

const INDEXES: readonly Index[] = [
  {
    version: '3.1.1',
    statements: STATEMENTS_311,
    notApplicable: NOT_APPLICABLE_311,
    scenarios: scenarios.filter(({ version }) => version === 4),
    count: 141,
  },
  {
    version: '5.0',
    statements: STATEMENTS_5,
    notApplicable: NOT_APPLICABLE_5,
    scenarios: scenarios.filter(({ version }) => version === 5),
    count: 251,
  },
];

function repeated(values: readonly string[]): string[] {
  return values.filter((value, index) => values.indexOf(value) !== index);
}

describe.each(INDEXES)('the index of MQTT $version', (index) => {
  const ids = Object.keys(index.statements);
  const tested = new Set(index.scenarios.flatMap(({ statements }) => statements));
  const notApplicable = Object.keys(index.notApplicable);

  test('has every statement of the standard, each in words of its own', () => {
    expect(ids).toHaveLength(index.count);
    expect(ids.filter((id) => !/^\d[.]\d{1,2}[.]\d-\d{1,2}$/.test(id))).toEqual([]);
    expect(repeated(Object.values(index.statements))).toEqual([]);
  });

  test('numbers the statements of a section from 1 without a gap', () => {
    const bySection = new Map<string, number[]>();
    for (const id of ids) {
      const [section, number] = id.split('-') as [string, string];
      bySection.set(section, [...(bySection.get(section) ?? []), Number(number)]);
    }
    const gaps: string[] = [];
    for (const [section, numbers] of bySection) {
      // 5.0 has no 2.2.1-1: the appendix itself begins at 2.
      const first = index.version === '5.0' && section === '2.2.1' ? 2 : 1;
      if (numbers.some((number, at) => number !== at + first)) gaps.push(section);
    }
    expect(gaps).toEqual([]);
  });

  test('knows every statement that a scenario or a reason names', () => {
    const named = [...tested, ...notApplicable];
    expect(named.filter((id) => !(id in index.statements))).toEqual([]);
  });

  test('has no statement that is neither tested nor not applicable', () => {
    const neither = ids.filter((id) => !tested.has(id) && !notApplicable.includes(id));
    expect(neither).toEqual([]);
  });

  test('has no statement that is both', () => {
    expect(notApplicable.filter((id) => tested.has(id))).toEqual([]);
  });
});

describe('the scenarios', () => {
  test('have names of their own', () => {
    const names = scenarios.map((scenario) => `${scenario.version} ${scenario.title}`);
    expect(repeated(names)).toEqual([]);
    expect(repeated(scenarios.map(nameOf))).toEqual([]);
  });

  test('each prove something, once', () => {
    expect(scenarios.filter(({ statements }) => statements.length === 0)).toEqual([]);
    expect(scenarios.flatMap(({ statements }) => repeated(statements))).toEqual([]);
  });

  test('are there for every known gap', () => {
    const gaps = scenarios.map(knownGapOf).filter((gap) => gap !== undefined);
    expect(gaps).toHaveLength(KNOWN_GAPS.length);
    expect(repeated(KNOWN_GAPS.map(({ version, title }) => `${version} ${title}`))).toEqual([]);
  });
});
