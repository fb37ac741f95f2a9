import { parseSync } from '@swc/core';
import type { SourceFile } from './sources.ts';

export interface FunctionLength {
  /** `path:line name`. */
  readonly at: string;
  readonly lines: number;
}

interface Node {
  readonly type: string;
  readonly span?: { readonly start: number; readonly end: number };
  readonly [key: string]: unknown;
}

const FUNCTIONS = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'ClassMethod',
  'PrivateMethod',
  'Constructor',
  'MethodProperty',
]);

/** The names by which suites of tests are declared; their callbacks are lists, not functions. */
const LISTS = new Set(['describe', 'suite', 'setup', 'defineConfig']);

/** Every function of `file` with the lines it spans, its signature included. */
export function functionLengths(file: SourceFile): readonly FunctionLength[] {
  const module = parseSync(file.text, { syntax: 'typescript', target: 'es2024' });
  const bytes = Buffer.from(file.text);
  // swc counts bytes from 1, over all files parsed in this process; the module starts where its
  // first token does, so the base is found by the end, which is the end of the text.
  const base = module.span.end - bytes.length;
  const lineAt = (position: number): number => {
    let line = 1;
    for (const byte of bytes.subarray(0, Math.max(0, position - base))) if (byte === 10) line += 1;
    return line;
  };
  const found: FunctionLength[] = [];
  visit(module, (node) => {
    if (!FUNCTIONS.has(node.type) || node.span === undefined) return;
    const start = lineAt(node.span.start);
    const lines = lineAt(node.span.end) - start + 1;
    found.push({ at: `${file.path}:${start} ${nameOf(node)}`, lines });
  });
  return found;
}

function nameOf(node: Node): string {
  const named = (node['identifier'] ?? node['key']) as
    | { readonly value?: unknown; readonly id?: { readonly value?: unknown } }
    | undefined;
  const name = named?.value ?? named?.id?.value;
  return typeof name === 'string' ? name : '(anonymous)';
}

/** Whether this is a call such as `describe(…)` or `describe.each(…)(…)`, whose callback is a list. */
function isList(node: Node): boolean {
  if (node.type !== 'CallExpression') return false;
  let callee = node['callee'] as Node | undefined;
  while (callee !== undefined && typeof callee['value'] !== 'string') {
    callee = (callee['object'] ?? callee['callee'] ?? callee['tag']) as Node | undefined;
  }
  return LISTS.has(String(callee?.['value']));
}

/** Calls `seen` for every node, except for the functions that `describe` and the like are given. */
function visit(value: unknown, seen: (node: Node) => void, inList = false): void {
  if (typeof value !== 'object' || value === null) return;
  const node = value as Node;
  const isNode = typeof node.type === 'string';
  if (isNode && !(inList && FUNCTIONS.has(node.type))) seen(node);
  // Arguments come wrapped, as `{ spread, expression }` in an array, so the mark goes on through those.
  const passesMark = !isNode && inList;
  const marks = (isNode && isList(node)) || passesMark;
  for (const child of Object.values(value)) visit(child, seen, marks);
}
