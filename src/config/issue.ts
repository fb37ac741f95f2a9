/** One thing to say about the configuration, with all that somebody needs to put it right. */
export interface ConfigIssue {
  readonly severity: 'error' | 'warning';
  /** Absent where the value came from the command line or from a default. */
  readonly file: string | undefined;
  /** Line in `file`, from 1. */
  readonly line: number | undefined;
  /** Such as `uplink[0].mqtt.url`; an option of the command line where it came from there. */
  readonly key: string;
  /** What is wrong, without a full stop. */
  readonly message: string;
  /** What to do about it: one sentence. */
  readonly remedy: string;
}

/** One line in the manner of a compiler, then the remedy on a line of its own. */
export function formatIssue(issue: ConfigIssue): string {
  const where = [issue.file, issue.line].filter((part) => part !== undefined).join(':');
  const prefix = where === '' ? '' : `${where}: `;
  return `${prefix}${issue.severity}: ${issue.key}: ${issue.message}\n    ${issue.remedy}`;
}

/**
 * The candidate that somebody who wrote `word` most likely meant: at most two slips of the finger
 * away, and fewer for short words, where two slips make any word out of any other.
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.ceil(word.length / 2) + 1);
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, substitutions and swaps of neighbours that turn one word into the other. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        cost = Math.min(cost, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
