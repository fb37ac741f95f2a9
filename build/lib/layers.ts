import { readdir } from 'node:fs/promises';
import { type Outcome, root, runTool } from './step.ts';

interface CruiseReport {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
  };
}

export interface LayerReport {
  /** Modules under src that were read. */
  readonly modules: number;
  /** One line a violation: `rule: from → to`. */
  readonly violations: readonly string[];
}

/** Reads every import under `folder`/src and compares it with the rules of .dependency-cruiser.cjs. */
export async function cruise(folder: string): Promise<LayerReport> {
  const { stdout, stderr } = await runTool(
    'depcruise',
    ['--config', `${root}/.dependency-cruiser.cjs`, '--output-type', 'json', 'src'],
    { cwd: folder },
  );
  let report: CruiseReport;
  try {
    report = JSON.parse(stdout) as CruiseReport;
  } catch (cause) {
    throw new Error(`dependency-cruiser printed no report:\n${stdout}${stderr}`, { cause });
  }
  return {
    modules: report.modules.filter(({ source }) => source.startsWith('src/')).length,
    violations: report.summary.violations.map(
      ({ rule, from, to }) => `${rule.name}: ${from} → ${to}`,
    ),
  };
}

async function countSources(folder: string): Promise<number> {
  const entries = await readdir(`${folder}/src`, { recursive: true });
  return entries.filter((name) => name.endsWith('.ts')).length;
}

/** Rules that the fixture breaks once each; a rule that stops biting shows here. */
const CANARIES = [
  'layer-base',
  'layer-ring',
  'layer-main',
  'package-lmdb',
  'packages-are-known',
  'node-in-platform-only',
  'rooms-are-known',
  'no-cycles',
] as const;

/** Checks the layers, and first that the checker still sees modules and still reports violations. */
export async function checkLayers(): Promise<Outcome> {
  const canary = await cruise(`${root}/test/tidy/fixtures/layers`);
  const silent = CANARIES.filter(
    (rule) => !canary.violations.some((line) => line.startsWith(`${rule}:`)),
  );
  if (silent.length > 0) {
    return { ok: false, output: `the layer rules no longer report: ${silent.join(', ')}` };
  }
  const [report, sources] = await Promise.all([cruise(root), countSources(root)]);
  if (report.modules !== sources) {
    return { ok: false, output: `read ${report.modules} modules of the ${sources} under src` };
  }
  return {
    ok: report.violations.length === 0,
    output: report.violations.join('\n'),
    note: `${report.modules} modules`,
  };
}
