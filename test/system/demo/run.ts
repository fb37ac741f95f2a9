// npm run demo [-- --seconds 30 --devices 20 --rate 1000]: a fleet publishes through Cistern to a real
// Mosquitto while the link is cut and the broker is killed. Every figure comes from the two ledgers,
// which the fleet and a subscriber at the upstream write in processes of their own; none is Cistern's.
// Exit code 1 where an acknowledged reading was lost or a device's order was broken.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { reckon } from '../../support/reckoning.ts';
import { waitFor } from '../../support/wait-for.ts';
import { Stage } from './stage.ts';
import { clock, formatPhases, formatReckoning, number, type Phase } from './table.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    devices: { type: 'string', default: '20' },
    rate: { type: 'string', default: '1000' },
  },
});
const devices = positive('devices', values.devices);
const rate = positive('rate', values.rate);
/** The script below is written for 30 seconds of publishing; another length stretches it. */
const stretch = positive('seconds', values.seconds) / 30;
/** Without a new arrival for this long, what is missing is missing. */
const DRAIN_PATIENCE_MS = 15_000;
const DRAIN_QUIET_MS = 1_000;

const stage = new Stage({ devices, rate });
const interrupted = new AbortController();
process.once('SIGINT', () => interrupted.abort());
process.once('SIGTERM', () => interrupted.abort());

const phases: Phase[] = [];
let open: { readonly title: string; readonly startMs: number } | undefined;
let originMs = 0;

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  console.error(`--${name} must be a number above 0, not ${text}`);
  process.exit(2);
}

/** Ends the phase before, begins the next, and says so. */
function phase(title: string, remark: string): void {
  const nowMs = Date.now();
  closePhase(nowMs);
  if (phases.length === 0) originMs = nowMs;
  open = { title, startMs: nowMs };
  console.log(`  ${clock(nowMs - originMs)}  ${title.padEnd(23)} ${remark}`);
}

function closePhase(nowMs: number): void {
  if (open !== undefined) phases.push({ ...open, endMs: nowMs });
  open = undefined;
}

async function wait(seconds: number): Promise<void> {
  await sleep(seconds * stretch * 1000, undefined, { signal: interrupted.signal });
}

async function killAndRestart(title: string, remark: string, secondsAway: number): Promise<void> {
  phase(title, `${remark} (pid ${stage.broker.pid}); the devices keep their readings`);
  await stage.broker.kill9();
  await wait(secondsAway);
  await stage.broker.launch();
}

function restarted(): string {
  const seconds = (stage.broker.startMs / 1000).toFixed(2);
  return `ready ${seconds} s after its start; the devices send again what was not acknowledged`;
}

async function play(): Promise<void> {
  stage.startFleet();
  phase('link up', `${devices} devices publish ${number(rate)} readings a second, JSON and CBOR`);
  await wait(4);

  stage.link.cut('refused');
  phase('LINK CUT', 'the upstream is out of reach; the fleet publishes on');
  await wait(4);

  await killAndRestart('KILL -9', 'the broker is gone', 2);
  phase('broker restarted', restarted());
  await wait(5);

  const beforeBytes = stage.upstreamLedgerBytes();
  stage.link.restore();
  phase('link restored', 'the backlog drains, oldest first, while the fleet publishes on');
  await waitFor('the drain to begin', () => stage.upstreamLedgerBytes() > beforeBytes + 10_000);
  await killAndRestart('KILL -9 while draining', 'the broker is gone', 1);
  phase('broker restarted', restarted());
  await wait(5);

  stage.link.cut('silent');
  phase('LINK GONE SILENT', 'no reset, no refusal: what is sent now vanishes');
  await wait(4);

  stage.link.restore();
  phase('link restored', 'what vanished is sent again');
  await wait(5);

  phase('fleet stops', 'the last readings are acknowledged, the rest drains');
  for (const complaint of await stage.endFleet()) console.log(`           ${complaint}`);
  await drained();
  closePhase(Date.now());
}

/** Until all that was acknowledged is upstream and it is quiet there, or nothing moves any more. */
async function drained(): Promise<void> {
  let bytes = stage.upstreamLedgerBytes();
  let sinceMs = performance.now();
  while (performance.now() - sinceMs < DRAIN_PATIENCE_MS) {
    await sleep(100, undefined, { signal: interrupted.signal });
    if (stage.upstreamLedgerBytes() > bytes) {
      bytes = stage.upstreamLedgerBytes();
      sinceMs = performance.now();
      continue;
    }
    if (performance.now() - sinceMs < DRAIN_QUIET_MS) continue;
    if (reckon(stage.publisherLedger(), stage.upstreamLedger()).lost.length === 0) return;
  }
}

function report(): number {
  const publisher = stage.publisherLedger();
  const upstream = stage.upstreamLedger();
  const reckoning = reckon(publisher, upstream);
  console.log(`\n${formatPhases(phases, publisher, upstream).join('\n')}`);
  console.log(`\n${formatReckoning(reckoning).join('\n')}\n`);
  const { lost, outOfOrder, unknown } = reckoning;
  return lost.length + outOfOrder.length + unknown.length > 0 || reckoning.arrived === 0 ? 1 : 0;
}

try {
  console.log(
    '\n  building the stage: build/out/cistern, a Mosquitto as its upstream, a link to cut\n',
  );
  await stage.build();
  await play();
  process.exitCode = report();
} catch (error) {
  process.exitCode = interrupted.signal.aborted ? 130 : 1;
  if (!interrupted.signal.aborted) {
    console.error(error);
    console.error(`\nThe broker's last words:\n${stage.brokerWords().join('\n')}`);
  }
} finally {
  await stage.clear();
}
