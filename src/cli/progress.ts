import { describeSize } from '../config/units.ts';
import type { TextOutput } from './io.ts';

const STEP_PERCENT = 10;

/**
 * Shows how far a long piece of work is: on a terminal one line that is written over, elsewhere a
 * line every 10 %. Returns what is to be called with each state of it.
 */
export function createProgress(
  what: string,
  output: TextOutput,
): (doneBytes: number, totalBytes: number) => void {
  let shownPercent = -1;
  return (doneBytes, totalBytes) => {
    const percent = totalBytes === 0 ? 100 : Math.floor((doneBytes / totalBytes) * 100);
    const isTerminal = output.isTTY === true;
    const step = isTerminal ? percent : percent - (percent % STEP_PERCENT);
    if (step <= shownPercent) return;
    shownPercent = step;
    const text = `${what}: ${step} % of ${describeSize(totalBytes)}`;
    if (!isTerminal) output.write(`${text}\n`);
    else output.write(`\r${text}${percent === 100 ? '\n' : ''}`);
  };
}
