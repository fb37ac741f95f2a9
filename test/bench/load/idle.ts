import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './client.ts';
import type { IdleLoad } from './loads.ts';
import { ProcessorMeter } from './processor-time.ts';
import type { IdleResult } from './results.ts';
import type { RunOptions } from './run-options.ts';

/** Made before anything is counted, and kept: what a broker needs once is not in the figures. */
const FIRST_CONNECTIONS = 2_000;
const BYTES_A_KIB = 1024;
const READ_BUFFER_BYTES = 64 * 1024;

/** Anonymous memory that is in use now; not that of files, such as the program's own text. */
function anonymousBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * BYTES_A_KIB;
}

/** `warmupMs` is how long the broker has to come to rest before its memory is read, each time. */
export async function runIdle(load: IdleLoad, options: RunOptions): Promise<IdleResult> {
  const { port, brokerPid, warmupMs, onFailure } = options;
  const buffer = Buffer.alloc(READ_BUFFER_BYTES);
  const clients: Client[] = [];
  let opened = 0;
  const openUpTo = async (connections: number) => {
    const worker = async () => {
      while (opened < connections) {
        opened += 1;
        clients.push(await Client.open(port, `bench-idle-${opened}`, onFailure, buffer));
      }
    };
    await Promise.all(Array.from({ length: load.atOnce }, worker));
  };
  await openUpTo(FIRST_CONNECTIONS);
  await sleep(warmupMs);
  const bytesBefore = anonymousBytes(brokerPid);
  const meter = new ProcessorMeter(brokerPid);
  await openUpTo(FIRST_CONNECTIONS + load.connections);
  const { seconds, fromNs, toNs, use } = meter.stop();
  await sleep(warmupMs);
  const bytesEach = (anonymousBytes(brokerPid) - bytesBefore) / load.connections;
  const arrived = clients.length - FIRST_CONNECTIONS;
  for (const client of clients) client.close();
  return {
    kind: 'idle',
    load: load.name,
    fromNs,
    toNs,
    connectionsPerSecond: load.connections / seconds,
    bytesEach,
    expected: load.connections,
    arrived,
    misordered: 0,
    ...use,
  };
}
