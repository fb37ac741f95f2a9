import { readFileSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(import.meta.dirname, '../..');

/** What `node --cpu-prof` writes, as far as it is used here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  /** µs of the monotonic clock. */
  readonly startTime: number;
  /** Node ids, each with the µs since the sample before. */
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

function placeOf(url: string, line: number): string {
  if (url === '') return '';
  const path = url.startsWith('file:') ? relative(root, fileURLToPath(url)) : url;
  return `${path}:${line + 1}`;
}

/**
 * The functions that took the most time themselves, without what they called, between two moments of
 * the monotonic clock. Shares are of the time that was not idle. `(program)` is native code and the
 * kernel where V8 does not know who called.
 */
export function topFunctions(file: string, fromNs: number, toNs: number, count = 25): string {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as CpuProfile;
  const selfUs = new Map<number, number>();
  let atUs = profile.startTime;
  for (const [i, id] of profile.samples.entries()) {
    const deltaUs = profile.timeDeltas[i] ?? 0;
    atUs += deltaUs;
    if (atUs * 1000 < fromNs || atUs * 1000 > toNs) continue;
    selfUs.set(id, (selfUs.get(id) ?? 0) + deltaUs);
  }
  const byFunction = new Map<string, number>();
  let busyUs = 0;
  let idleUs = 0;
  for (const { id, callFrame } of profile.nodes) {
    const us = selfUs.get(id) ?? 0;
    if (callFrame.functionName === '(idle)') {
      idleUs += us;
      continue;
    }
    busyUs += us;
    const name = callFrame.functionName === '' ? '(anonymous)' : callFrame.functionName;
    const key = `${name}  ${placeOf(callFrame.url, callFrame.lineNumber)}`;
    byFunction.set(key, (byFunction.get(key) ?? 0) + us);
  }
  const ms = (us: number) => (us / 1000).toFixed(0).padStart(6);
  const share = (us: number) => `${((100 * us) / busyUs).toFixed(1).padStart(5)} %`;
  const lines = [...byFunction]
    .sort(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([name, us]) => `${ms(us)} ms ${share(us)}  ${name}`);
  return [`${ms(busyUs)} ms busy, ${ms(idleUs).trim()} ms idle`, ...lines].join('\n');
}
