import { startAdmin } from '../admin/server.ts';
import type { ListenerStatus, Status } from '../admin/status.ts';
import { Auth } from '../auth/auth.ts';
import { Broker } from '../broker/broker.ts';
import type { BrokerLimits } from '../broker/limits.ts';
import { resolveSecret } from '../config/secret.ts';
import { carriedLimits } from '../config/stream-rules.ts';
import type { Config } from '../config/types.ts';
import { assert } from '../base/assert.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Layer, Listener } from '../platform/network.ts';
import type { Evacuator } from '../ring/types.ts';
import { createRecordReader } from '../streams/record-reader.ts';
import type { Environment } from './environment.ts';
import { examinePlace } from './data-place.ts';
import { takeIdentity, type Identity } from './identity.ts';
import { certificateOf, endedCertificates, listenOptionsOf, protocolOf } from './listen-options.ts';
import { openStreams, type OpenStreams } from './open-streams.ts';
import { Reloads } from './reloads.ts';
import { StatusReport } from './status-report.ts';
import { Storage } from './storage.ts';
import { tryAddresses } from './try-addresses.ts';
import { createCursorStore } from '../uplink/cursor-store.ts';
import { createUplinks, type Uplinks } from '../uplink/uplinks.ts';

const ALARMS_EVERY_MS = 5_000;

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
  const { clock, logger, version } = environment;
  const auth = await openAuth(config, environment);
  await tryAddresses(config, environment);
  const storage = await openStorage(config, environment, started);
  const parts = openStreams(config, environment, storage);
  const broker = await startBroker(config, environment, { storage, ...parts }, started);
  const identity = await takeIdentity(config.node.id, storage, environment);
  const uplinks = startUplinks(config, environment, { storage, identity, ...parts });
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
    config,
    identity,
    storage,
    ...parts,
    device: environment.findDevice(config.storage.path),
    broker,
    listeners: () => listeners.map((listener) => listenerStatus(listener, broker)),
    uplinks: () => uplinks.statuses(),
    uplinkLapses: () => uplinks.lapses(),
    reloads: () => [...reloads.conditions(), ...endedCertificates(listeners, clock.wallMs())],
    refusedLogins: () => auth.counters.refused,
  });
  const alarms = lookAgainAndAgain(report, clock);
  started.push(async () => alarms.cancel());
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

function lookAgainAndAgain(report: StatusReport, clock: Clock): Timer {
  let timer = clock.after(ALARMS_EVERY_MS, look);
  function look(): void {
    report.lookForAlarms();
    timer = clock.after(ALARMS_EVERY_MS, look);
  }
  return { cancel: () => timer.cancel() };
}

async function openStorage(
  config: Config,
  environment: Environment,
  started: (() => Promise<void>)[],
): Promise<Storage> {
  const place = await examinePlace(config.storage, environment.disks);
  if (place.refusal !== undefined) throw place.refusal;
  const lock = await environment.lockData(config.storage.path);
  started.push(() => lock.release());
  const storage = await Storage.open(config, environment, place);
  started.push(() => storage.close());
  return storage;
}

/** Joins ring and state with what the broker and the streams make of them; the ring then takes appends. */
async function startBroker(
  config: Config,
  { clock, random, logger, memory, version }: Environment,
  { storage, times, streams, keeper }: OpenStreams & { readonly storage: Storage },
  started: (() => Promise<void>)[],
): Promise<Broker> {
  const { ring, state } = storage;
  const broker = new Broker({
    ring,
    state,
    streams,
    clock,
    times,
    random,
    logger: logger.child('broker'),
    limits: limitsOf(config),
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
    copiedFlags: (record) => broker.copiedFlags(record),
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
  started.push(async () => keeper.stop());
  started.push(() => broker.stop());
  return broker;
}

function startUplinks(
  config: Config,
  { clock, random, logger, secrets, makeSink }: Environment,
  parts: OpenStreams & { readonly storage: Storage; readonly identity: Identity },
): Uplinks {
  const { storage, identity, cursors, times } = parts;
  const uplinks = createUplinks({
    uplinks: config.uplinks,
    reader: createRecordReader(storage.ring, cursors),
    cursors: createCursorStore(storage.state),
    clock,
    times,
    random,
    logger: logger.child('uplink'),
    secrets,
    makeSink,
    nodeId: identity.nodeId,
    lineage: identity.lineage,
  });
  uplinks.start();
  cursors.complete();
  return uplinks;
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
