// How soon a full ring takes clients after `kill -9`, with sessions and retained messages, by
// `build/out/cistern` (`npm run build` comes first); with a cold page cache too, as root.
// `node build/with-node24.mjs test/bench/fast-start.ts [RING_MIB] [SESSIONS] [RETAINED] [KILLS]`
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { createReadStream, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodePublish } from '../../src/codec/publish-encoder.ts';
import { Client } from './load/client.ts';
import { describeMachine, measureDisk } from './machine.ts';

const [RING_MIB = 1_024, SESSIONS = 1_000, RETAINED = 10_000, KILLS = 5] = process.argv
  .slice(2)
  .map(Number);
const PORT = 28_841;
const TOPICS = 200;
const PAYLOAD_BYTES = 200;
const WINDOW = 2_000;
/** Published before each kill: less than a segment, so that no checkpoint is due after a start. */
const MESSAGES_A_LIFE = 12_000;
const FOLLOWERS = 20;
const NONE = new Uint8Array(0);

const root = resolve(import.meta.dirname, '../..');
const folder = join(root, 'build/out/bench/fast-start');

interface Life {
  readonly child: ChildProcess;
  /** From the start of the process to the first CONNACK. */
  readonly connackMs: number;
  readonly ringMs: number;
  readonly replayMs: number;
  readonly replayedRecords: number;
  readonly loggedMs: string;
}

function fail(error: Error): void {
  throw error;
}

/** The first CONNACK there is: tries again at once while nobody listens. */
async function firstConnack(): Promise<Client> {
  for (;;) {
    const open = await new Promise<boolean>((done) => {
      const socket = net.connect(PORT, '127.0.0.1');
      socket.once('connect', () => done((socket.destroy(), true)));
      socket.once('error', () => done(false));
    });
    if (open) return Client.open(PORT, 'first', fail);
    await sleep(1);
  }
}

/** A start that is fast because it has forgotten something is none. */
async function checkState(client: Client, isFirst: boolean): Promise<void> {
  if (isFirst) return;
  let retained = 0;
  client.handler = { onPublish: () => retained++ };
  await client.subscribe('state/#', 0);
  while (retained < RETAINED) await sleep(5);
  const response = await fetch(`http://127.0.0.1:${PORT + 1}/api/v1/status`);
  const { clients } = (await response.json()) as { clients: { sessions: number } };
  if (clients.sessions < SESSIONS) throw new Error(`${clients.sessions} sessions are left`);
}

/** One start. What the log says of it comes as JSON on standard error. */
async function start(isFirst = false): Promise<Life> {
  const args = ['run', '--config', join(folder, 'cistern.toml')];
  const startedMs = performance.now();
  const startedWallMs = Date.now();
  const child = spawn(join(root, 'build/out/cistern'), args, {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const logged = new Map<string, Record<string, unknown>>();
  const errors = child.stderr;
  if (errors === null) throw new Error('standard error is piped');
  createInterface({ input: errors }).on('line', (line) => {
    if (!line.startsWith('{')) throw new Error(line);
    const entry = JSON.parse(line) as Record<string, unknown>;
    logged.set(String(entry['event']), entry);
  });
  const first = await firstConnack();
  const connackMs = performance.now() - startedMs;
  await checkState(first, isFirst);
  first.close();
  while (!logged.has('app.started')) await sleep(5);
  const number = (event: string, field: string) => Number(logged.get(event)?.[field]);
  const at = (event: string) =>
    `${event} ${new Date(String(logged.get(event)?.['time'])).getTime() - startedWallMs}`;
  return {
    child,
    connackMs,
    ringMs: number('ring.opened', 'durationMs'),
    replayMs: number('state.replayed', 'durationMs'),
    replayedRecords: number('state.replayed', 'records'),
    loggedMs: ['ring.opened', 'state.replayed', 'app.started'].map(at).join(', '),
  };
}

async function kill({ child }: Life): Promise<void> {
  const ended = new Promise((done) => child.once('exit', done));
  child.kill('SIGKILL');
  await ended;
}

/** Publishes at QoS 1, `WINDOW` at a time; without `awaitAll` it ends with some on their way. */
async function publish(
  count: number,
  topicOf: (index: number) => string,
  { retain = false, awaitAll = true } = {},
): Promise<void> {
  const client = await Client.open(PORT, 'publisher', fail);
  let [sent, acked] = [0, 0];
  let resume = (): void => undefined;
  client.handler = { onAck: () => acked++, onChunkEnd: () => resume() };
  while (sent < count) {
    const parts: Uint8Array[] = [];
    for (; sent < count && sent - acked < WINDOW; sent++) {
      const topic = Buffer.from(topicOf(sent));
      const payload = randomBytes(PAYLOAD_BYTES);
      const packetId = (sent % 65_535) + 1;
      parts.push(encodePublish(4, topic, 1, retain, false, packetId, NONE, payload).bytes);
    }
    client.write(Buffer.concat(parts));
    await new Promise<void>((done) => {
      resume = () => {
        if (sent - acked < WINDOW / 2) done();
      };
      resume();
    });
  }
  while (awaitAll && acked < sent) await sleep(5);
  client.close();
}

const retainedTopic = (index: number): string => `state/device-${index}/mode`;
const valueTopic = (index: number): string => `s/${index % TOPICS}/value`;

async function makeSessions(): Promise<void> {
  const buffer = Buffer.alloc(256 * 1024);
  for (let session = 0; session < SESSIONS; session++) {
    const client = await Client.open(PORT, `session-${session}`, fail, buffer, false);
    const own = `s/${session % TOPICS}`;
    for (const filter of [`${own}/#`, `commands/${session}/+`, 's/+/alarm']) {
      await client.subscribe(filter, 1);
    }
    client.close();
  }
}

/**
 * A good deal of telemetry, then what no checkpoint has when the kill comes: sessions that are back
 * and read, and retained messages that change.
 */
async function liveALittle(): Promise<void> {
  await publish(MESSAGES_A_LIFE, valueTopic);
  for (let session = 0; session < FOLLOWERS; session++) {
    await Client.open(PORT, `session-${session}`, () => undefined, undefined, false);
  }
  await publish(RETAINED / 20, retainedTopic, { retain: true });
  await publish(2 * WINDOW, valueTopic, { awaitAll: false });
}

/** The ring and the state, and the executable with what it unpacks: all that a boot would read. */
function dropPageCache(): boolean {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return false;
  }
}

/** As fast as the machine can: what bounds a start with a cold cache. */
async function readSpeed(): Promise<string> {
  const ring = join(folder, 'data/ring');
  const startedMs = performance.now();
  let bytes = 0;
  for (const name of (await readdir(ring)).slice(0, 64)) {
    for await (const chunk of createReadStream(join(ring, name), { highWaterMark: 1 << 20 })) {
      bytes += (chunk as Buffer).length;
    }
  }
  return `${(bytes / 2 ** 20 / ((performance.now() - startedMs) / 1000)).toFixed(0)} MiB/s`;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? Number.NaN;
}

function residentMib({ child }: Life): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}

async function killAgainAndAgain(first: Life, title: string, beforeStart: () => void) {
  let life = first;
  const lives: Life[] = [];
  for (let count = 0; count < KILLS; count++) {
    await liveALittle();
    await kill(life);
    beforeStart();
    life = await start();
    lives.push(life);
    console.log(
      `  ${title}: CONNACK after ${life.connackMs.toFixed(0)} ms; ring ${life.ringMs.toFixed(0)} ms, ` +
        `replay ${life.replayMs.toFixed(0)} ms of ${life.replayedRecords} records; ` +
        `ms since the start: ${life.loggedMs}; ${residentMib(life).toFixed(0)} MiB resident at most`,
    );
  }
  const of = (pick: (life: Life) => number) => median(lives.map(pick)).toFixed(0);
  console.log(
    `${title}, median of ${KILLS} kills: first CONNACK ${of((each) => each.connackMs)} ms after exec; ` +
      `ring ${of((each) => each.ringMs)} ms, replay ${of((each) => each.replayMs)} ms`,
  );
  return life;
}

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });
console.log(describeMachine(measureDisk(folder)));
await writeFile(
  join(folder, 'cistern.toml'),
  [
    `[storage]\npath = "${join(folder, 'data')}"\nsize = "${RING_MIB}MiB"`,
    `[admin]\nlisten = "127.0.0.1:${PORT + 1}"`,
    `[[listener]]\nlisten = "127.0.0.1:${PORT}"`,
    '[limits]\nconnection_rate = "100000/s"\n',
  ].join('\n'),
);
let life = await start(true);
try {
  await makeSessions();
  await publish(RETAINED, retainedTopic, { retain: true });
  // A record takes 8 to 12 bytes beside its payload: each slot is written at least once.
  await publish(Math.round((RING_MIB * 2 ** 20 * 1.1) / (PAYLOAD_BYTES + 8)), valueTopic);
  console.log(`a ring of ${RING_MIB} MiB, ${SESSIONS} sessions, ${RETAINED} retained topics`);
  life = await killAgainAndAgain(life, 'warm page cache', () => undefined);
  if (dropPageCache()) {
    life = await killAgainAndAgain(life, 'cold page cache', () => void dropPageCache());
    dropPageCache();
    console.log(`reading the ring with a cold cache: ${await readSpeed()}`);
  }
} finally {
  await kill(life);
  await rm(folder, { recursive: true, force: true });
}
