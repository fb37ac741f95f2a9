import { CisternError } from '../base/errors.ts';
import { resolveSecret, type SecretSource } from '../config/secret.ts';
import type { MqttTargetConfig, Secret, UplinkConfig } from '../config/types.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { Random } from '../platform/random.ts';
import type { EventTimes } from '../ring/event-time.ts';
import type { RecordReader } from '../streams/types.ts';
import type { CursorStore } from './cursor-store.ts';
import { Forwarder } from './forwarder.ts';
import type { Sink } from './sink.ts';
import { type Credentials, MqttSink } from './sinks/mqtt.ts';
import type { UplinkLapse } from './lap-watch.ts';
import type { UplinkStatus } from './types.ts';

/** What a destination needs beside its configuration. */
export interface SinkParts {
  readonly nodeId: string;
  readonly clock: Clock;
  readonly secrets: SecretSource;
}

/** Throws CONFIG_INVALID where the destination of an uplink cannot be made. */
export type MakeSink = (config: UplinkConfig, parts: SinkParts) => Sink;

export interface UplinksOptions extends SinkParts {
  readonly uplinks: readonly UplinkConfig[];
  readonly makeSink: MakeSink;
  readonly reader: RecordReader;
  readonly cursors: CursorStore;
  readonly times: EventTimes;
  readonly random: Random;
  readonly logger: Logger;
  /** 64 random bits made with the ring, as hexadecimal. */
  readonly lineage: string;
}

export interface Uplinks {
  start(): void;
  /** Closes the links and saves the cursors; the state store must still take them. */
  stop(): Promise<void>;
  statuses(): readonly UplinkStatus[];
  /** Of those that lost records to rotation within the last hour. */
  lapses(): readonly UplinkLapse[];
}

/** Makes every configured uplink. Throws CONFIG_INVALID where one cannot be made. */
export function createUplinks(options: UplinksOptions): Uplinks {
  const forwarders = options.uplinks.map((config) => createForwarder(config, options));
  return {
    start() {
      for (const forwarder of forwarders) forwarder.start();
    },
    async stop() {
      await Promise.all(forwarders.map((forwarder) => forwarder.stop()));
    },
    statuses: () => forwarders.map((forwarder) => forwarder.status()),
    lapses: () => forwarders.flatMap((forwarder) => forwarder.lapse() ?? []),
  };
}

function createForwarder(config: UplinkConfig, options: UplinksOptions): Forwarder {
  const { reader, cursors, clock, times, random, logger, nodeId, lineage } = options;
  return new Forwarder({
    name: config.name,
    streams: config.streams,
    start: config.start,
    batch: config.batch,
    backoff: config.backoff,
    stallTimeoutMs: config.stallTimeoutMs,
    poisonAttempts: config.deadLetter.attempts,
    sink: options.makeSink(config, options),
    reader,
    cursors,
    clock,
    times,
    random,
    logger,
    nodeId,
    lineage,
  });
}

/** Destinations on the real network. */
export const makeSink: MakeSink = ({ target, name }, options) => {
  if (target.type !== 'mqtt') {
    throw new CisternError('CONFIG_INVALID', `This version has no ${target.type} uplink.`, {
      remedy: 'Use [uplink.mqtt], or a broker there that forwards.',
    });
  }
  return new MqttSink({
    config: target,
    clientId: target.clientId ?? `${options.nodeId}-${name}`,
    nodeId: options.nodeId,
    clock: options.clock,
    credentials: () => resolveCredentials(target, options.secrets),
  });
};

async function resolveCredentials(
  target: MqttTargetConfig,
  source: SecretSource,
): Promise<Credentials> {
  const resolve = async (secret: Secret | undefined): Promise<string | undefined> =>
    secret === undefined ? undefined : resolveSecret(secret, source);
  return { username: await resolve(target.username), password: await resolve(target.password) };
}
