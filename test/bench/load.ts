/**
 * The load, as a process of its own: connects, runs one load for a while, prints one line of JSON.
 *
 *   node test/bench/load.ts --load qos1-ingest --port 21001 --pid 4711 [--warmup-ms 1000] [--measure-ms 3000]
 *
 * `--pid` is the broker's, whose processor time and memory are told with the rate.
 */
import { parseArgs } from 'node:util';
import { runIdle } from './load/idle.ts';
import { runLatency } from './load/latency.ts';
import { type Load, loadNamed } from './load/loads.ts';
import type { LoadResult } from './load/results.ts';
import type { RunOptions } from './load/run-options.ts';
import { runThroughput } from './load/throughput.ts';

function fail(error: Error): never {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

function run(load: Load, options: RunOptions): Promise<LoadResult> {
  switch (load.kind) {
    case 'throughput':
      return runThroughput(load, options);
    case 'latency':
      return runLatency(load, options);
    case 'idle':
      return runIdle(load, options);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      load: { type: 'string' },
      port: { type: 'string' },
      pid: { type: 'string' },
      'warmup-ms': { type: 'string', default: '1000' },
      'measure-ms': { type: 'string', default: '3000' },
    },
  });
  const result = await run(loadNamed(values.load ?? ''), {
    port: Number(values.port),
    brokerPid: Number(values.pid),
    warmupMs: Number(values['warmup-ms']),
    measureMs: Number(values['measure-ms']),
    onFailure: fail,
  });
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

await main();
