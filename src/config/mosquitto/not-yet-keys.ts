import { reportNotYet } from '../not-yet.ts';
import { IssueLog } from '../table-reader.ts';
import type { TomlValue } from './toml-table.ts';

/**
 * Why this version would refuse these keys, a sentence each. What is refused is held back, and goes
 * live by itself in the version that has it.
 */
export function refusedYet(document: Readonly<Record<string, TomlValue>>): string[] {
  const issues = new IssueLog(undefined, new Map());
  reportNotYet(document, issues);
  return issues
    .all('error')
    .map(({ key, message }) => `${key.replaceAll(/\[\d+\]/g, '')} ${message}.`);
}
