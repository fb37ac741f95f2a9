import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/** `tried`: handed to the network; `acknowledged`: the broker took it; `arrived`: seen upstream. */
export type LedgerEvent = 'tried' | 'acknowledged' | 'arrived';

export interface LedgerEntry {
  readonly event: LedgerEvent;
  readonly device: string;
  readonly number: number;
  /** Unix milliseconds. */
  readonly atMs: number;
}

/**
 * A file that only grows, one line an event, written before the program goes on (O_APPEND, one write
 * a line). It belongs to one process and outlives it, so what it says does not depend on the memory
 * of anybody who may be killed.
 */
export class Ledger {
  readonly #descriptor: number;

  constructor(path: string) {
    this.#descriptor = openSync(path, 'a');
  }

  note(event: LedgerEvent, device: string, number: number): void {
    writeSync(this.#descriptor, `${event} ${device} ${number} ${Date.now()}\n`);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Every whole line so far; one that is being written at this instant is left for the next call. */
export function readLedger(path: string): LedgerEntry[] {
  const text = readFileSync(path, 'utf8');
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return lines.filter((line) => line !== '').map(parseLine);
}

function parseLine(line: string): LedgerEntry {
  const [event, device, number, atMs] = line.split(' ');
  if (event !== 'tried' && event !== 'acknowledged' && event !== 'arrived') {
    throw new Error(`not a line of a ledger: ${line}`);
  }
  return { event, device: device ?? '', number: Number(number), atMs: Number(atMs) };
}
