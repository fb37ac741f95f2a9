import { startAdmin } from '../admin/server.ts';
import type { ListenerStatus, Status } from '../admin/status.ts';
import { Auth } from '../auth/auth.ts';
import { Broker } from '../broker/broker.ts';
import type { BrokerLimits } from '../broker/limits.ts';
import { resolveSecret } from '../config/secret.ts';
import { carriedLimits } from '../config/stream-rules.ts';
import type { Config } from '../config/types.ts';
import { assert } from '../base/assert.ts';
import type { Logger } from '../platform/logger.ts';
import type { Layer, Listener } from '../platform/network.ts';
import { type Evacuator, FIRST_STREAM_PARTITION_ID, type Ring } from '../ring/types.ts';
import { createRecordReader } from '../streams/record-reader.ts';
import { StreamCursors } from '../streams/stream-cursors.ts';
import { StreamKeeper } from '../streams/stream-keeper.ts';
import { StreamTable } from '../streams/stream-table.ts';
import { Timekeeper } from '../streams/timekeeper.ts';
import type { Environment } from './environment.ts';
import { examinePlace } from './data-place.ts';
import { takeIdentity, type Identity } from './identity.ts';
import { certificateOf, endedCertificates, listenOptionsOf, protocolOf } from './listen-options.ts';
import { Reloads } from './reloads.ts';
import { StatusReport } from './status-report.ts';
import { Storage } from './storage.ts';
import { tryAddresses } from './try-addresses.ts';
import { createCursorStore } from '../uplink/cursor-store.ts';
import { createUplinks } from '../uplink/uplinks.ts';

/** A broker that runs: what it listens on, what it knows of itself, and how to stop it. */
export interface RunningCistern {
  readonly identity: Identity;
  readonly listeners: readonly { readonly protocol: string; readonly address: string }[];
  readonly adminAddress: string;
  status(): Status;
  /** Reads again what is made from files beside the configuration, as SIGHUP asks. Never fails. */
  reload(): Promise<void>;
  /** Commits, checkpoints, says goodbye to clients, closes. Calls at one time join. */
  stop(): Promise<void>;
}

/**
 * Starts everything, in order: data lock, ring, state, broker, uplinks, listeners, admin. What was
 * started is stopped in reverse order, also where a later step fails. Addresses that cannot be
 * listened on and a place that cannot hold the ring are found before anything is made.
 */
export async function startCistern(
  config: Config,
  environment: Environment,
): Promise<RunningCistern> {
  const started: (() => Promise<void>)[] = [];
  const stopAll = async (): Promise<void> => {
    const failures: unknown[] = [];
    for (const stop of started.splice(0).reverse()) {
      await stop().catch((error: unknown) => failures.push(error));
    }
    if (failures.length > 0) throw failures[0];
  };
  try {
    return await startInOrder(config, environment, started, stopAll);
  } catch (error) {
    // Why the start failed matters more than what else fails on the way back.
    await stopAll().catch((later: unknown) => {
      environment.logger.warn('app.stop_failed', { error: String(later) });
    });
    throw error;
  }
}

async function startInOrder(
  config: Config,
  environment: Environment,
  started: (() => Promise<void>)[],
  stopAll: () => Promise<void>,
): Promise<RunningCistern> {
  const { clock, logger, memory, random, version } = environment;
  const auth = await openAuth(config, environment);
  await tryAddresses(config, environment);
  const place = await examinePlace(config.storage, environment.disks);
  if (place.refusal !== undefined) throw place.refusal;
  const lock = await environment.lockData(config.storage.path);
  started.push(() => lock.release());
  const storage = await Storage.open(config, environment, place);
  started.push(() => storage.close());
  const { ring, state } = storage;
  const { clockEvidence: evidence } = environment;
  const times = new Timekeeper({ clock, ring, state, evidence, logger: logger.child('clock') });
  const streamCursors = new StreamCursors();
  const streams = new StreamTable(config.streams, ring, streamCursors);
  const keeper = new StreamKeeper({
    ring,
    streams,
    cursors: streamCursors,
    clock,
    logger: logger.child('stream'),
    segmentSizeBytes: config.storage.segmentSizeBytes,
    ageMs: (time) => times.ageMs(time),
  });
  warnOfForgottenStreams(config, ring, logger.child('stream'));
  const limits = limitsOf(config);
  const broker = new Broker({
    ring,
    state,
    streams,
    clock,
    times,
    random,
    logger: logger.child('broker'),
    limits,
    mayUseMemory: config.storage.onFailure === 'memory',
    memory,
    version,
  });
  await times.prepare();
  const evacuator = {
    release: (held, fruitlessLaps) => keeper.release(held, fruitlessLaps),
    keeps: (record) => {
      broker.keepReceipt(record);
      return keeper.keeps(record);
    },
    decide: (record) => broker.evacuate(record),
  } satisfies Omit<Evacuator, 'checkpoint'>;
  await storage.replay(
    (record) => broker.replay(record),
    evacuator,
    () => {
      times.start();
      broker.load();
    },
  );
  started.push(async () => times.stop());
  keeper.start();
  started.push(() => Promise.resolve(keeper.stop()));
  started.push(() => broker.stop());
  const identity = await takeIdentity(config.node.id, storage, environment);

  const uplinks = createUplinks({
    uplinks: config.uplinks,
    reader: createRecordReader(ring, streamCursors),
    cursors: createCursorStore(state),
    clock,
    times,
    random,
    logger: logger.child('uplink'),
    secrets: environment.secrets,
    makeSink: environment.makeSink,
    nodeId: identity.nodeId,
    lineage: identity.lineage,
  });
  uplinks.start();
  streamCursors.complete();
  started.push(() => uplinks.stop());

  const reloads = new Reloads({
    clock,
    logger: logger.child('reload'),
    stampFiles: environment.stampFiles,
  });
  started.push(() => reloads.stop());
  await followAuthFiles(auth, broker, reloads);
  const listeners = await listen(config, environment, { broker, auth, reloads }, started);
  const report = new StatusReport({
    version,
    clock,
    times,
    config,
    identity,
    storage,
    device: environment.findDevice(config.storage.path),
    broker,
    streams,
    keeper,
    listeners: () => listeners.map((listener) => listenerStatus(listener, broker)),
    uplinks: () => uplinks.statuses(),
    uplinkLapses: () => uplinks.lapses(),
    reloads: () => [...reloads.conditions(), ...endedCertificates(listeners, clock.wallMs())],
    refusedLogins: () => auth.counters.refused,
  });
  const admin = await startAdminServer(config, environment, report, storage);
  started.push(() => admin.close());
  return running({
    identity,
    listeners,
    adminAddress: admin.address,
    report,
    reloads,
    stopAll,
  });
}

/**
 * A stream that was taken out of the configuration, or has another name there now, still has its
 * records: nothing forwards them, no status names them, and rotation takes them with the others.
 */
function warnOfForgottenStreams(
  { streams }: Config,
  ring: Pick<Ring, 'partitions'>,
  logger: Logger,
): void {
  const configured = new Set(streams.map(({ name }) => name));
  const forgotten = new Map<string, number>();
  for (const { id, stream, headOffset, tailOffset } of ring.partitions()) {
    if (id < FIRST_STREAM_PARTITION_ID || configured.has(stream)) continue;
    forgotten.set(stream, (forgotten.get(stream) ?? 0) + tailOffset - headOffset);
  }
  for (const [stream, records] of forgotten) {
    if (records === 0) continue;
    const meaning = 'It is not configured any more: no uplink sends what the ring holds of it.';
    logger.warn('stream.not_configured', { stream, records, meaning });
  }
}

/** Files that cannot be used stop the start before anything is made. */
function openAuth(config: Config, environment: Environment): Promise<Auth> {
  const { clock, random, logger, passwordHashing, readTokenKeys, secrets } = environment;
  return Auth.open(config, {
    clock,
    random,
    logger: logger.child('auth'),
    hashing: passwordHashing,
    readTokenKeys,
    readText: (path) => secrets.readText(path),
  });
}

async function followAuthFiles(auth: Auth, broker: Broker, reloads: Reloads): Promise<void> {
  for (const files of auth.files) {
    await reloads.add({
      name: files.paths.join(', '),
      files: files.paths,
      async reload() {
        await files.reload();
        broker.rightsChanged();
      },
    });
  }
}

interface BoundListener {
  readonly protocol: string;
  readonly listener: Listener;
}

async function listen(
  config: Config,
  environment: Environment,
  parts: { readonly broker: Broker; readonly auth: Auth; readonly reloads: Reloads },
  started: (() => Promise<void>)[],
): Promise<BoundListener[]> {
  const { broker, auth, reloads } = parts;
  const logger = environment.logger.child('listener');
  const onFailedHandshake = (address: string, layer: Layer, reason: string): void => {
    broker.counters.turnAway(`${layer}_handshake`);
    logger.warn('listener.handshake_failed', { address, layer, reason });
  };
  const bound: BoundListener[] = [];
  for (const listenerConfig of config.listeners) {
    const authorizer = auth.authorizerFor(listenerConfig);
    assert(listenerConfig.protocol !== 'mqtt-sn', 'the configuration refuses what is not here yet');
    const place = { address: '' };
    const listener = await environment.network.listen(
      listenerConfig.listen,
      (socket) => broker.accept(socket, place.address, authorizer),
      { ...listenOptionsOf(listenerConfig, config.limits), onFailedHandshake },
    );
    place.address = listener.address;
    started.push(() => listener.close());
    const certificate = certificateOf(listenerConfig, listener);
    if (certificate !== undefined) await reloads.add(certificate);
    bound.push({ protocol: protocolOf(listenerConfig), listener });
  }
  return bound;
}

function startAdminServer(
  config: Config,
  environment: Environment,
  report: StatusReport,
  { ring }: Storage,
) {
  const { token } = config.admin;
  const mayUseMemory = config.storage.onFailure === 'memory';
  return startAdmin({
    listen: config.admin.listen,
    token: token === undefined ? undefined : () => resolveSecret(token, environment.secrets),
    http: environment.http,
    source: {
      status: () => report.status(),
      ready: () => (ring.failed && !mayUseMemory ? 'the ring cannot be written' : true),
    },
  });
}

function running(parts: {
  readonly identity: Identity;
  readonly listeners: readonly BoundListener[];
  readonly adminAddress: string;
  readonly report: StatusReport;
  readonly reloads: Reloads;
  readonly stopAll: () => Promise<void>;
}): RunningCistern {
  const { identity, listeners, adminAddress, report, reloads, stopAll } = parts;
  let stopping: Promise<void> | undefined;
  return {
    identity,
    listeners: listeners.map(({ protocol, listener: { address } }) => ({ protocol, address })),
    adminAddress,
    status: () => report.status(),
    reload: () => reloads.reloadAll(),
    stop() {
      stopping ??= stopAll();
      return stopping;
    },
  };
}

function listenerStatus({ protocol, listener }: BoundListener, broker: Broker): ListenerStatus {
  const { address } = listener;
  return { protocol, address, connections: broker.connectionsOf(address) };
}

function limitsOf(config: Config): BrokerLimits {
  const { limits } = config;
  return {
    ...limits,
    receiveMaximum: Math.min(limits.inflight, 65_535),
    ...carriedLimits(config),
  };
}
