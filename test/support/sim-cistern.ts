import type { Environment } from '../../src/app/environment.ts';
import { startCistern, type RunningCistern } from '../../src/app/start.ts';
import type { ProtocolVersion } from '../../src/codec/control-packet.ts';
import { loadConfig } from '../../src/config/load.ts';
import type { Config } from '../../src/config/types.ts';
import type { CheckpointStore } from '../../src/metadata/types.ts';
import type { ClockWord } from '../../src/platform/clock-evidence.ts';
import { nodeCompressor, nodeCrc32 } from '../../src/platform/node/compression.ts';
import { createNodePasswordHashing } from '../../src/platform/node/password-hashing.ts';
import { readTokenKeys } from '../../src/platform/node/token-keys.ts';
import type { BlockDevice } from '../../src/platform/block-device.ts';
import type { FileSystemFacts } from '../../src/platform/disk-survey.ts';
import type { Volume } from '../../src/platform/volume.ts';
import { makeSink, type MakeSink } from '../../src/uplink/uplinks.ts';
import { MemoryLogger } from './memory-logger.ts';
import { SimClient } from './sim-client.ts';
import type { SimClock } from './sim-clock.ts';
import { SimNetwork } from './sim-network.ts';
import { SimRandom } from './sim-random.ts';

const ADDRESS = '127.0.0.1:1883';

/** The real broker on a simulated world: disk, checkpoint, clock, network and randomness are handed in. */
export class SimCistern {
  readonly clock: SimClock;
  readonly network: SimNetwork;
  readonly logger = new MemoryLogger();
  /** Files beside the configuration, by path: what a client may do, and who it may be. */
  readonly files: Record<string, string> = {};
  /** What the data directory is said to be on. */
  device: BlockDevice | undefined;
  /** Of the data directory; a copy has another. */
  directoryId = '1';
  /** What the data is said to be on. */
  fileSystem: FileSystemFacts = { type: 'ext4', mountPoint: '/', options: [], freeBytes: 2 ** 40 };
  readonly #volume: Volume;
  readonly #checkpoints: CheckpointStore;
  readonly #seed: number;
  readonly #makeSink: MakeSink;
  running: RunningCistern | undefined;
  /** What the machine says of its clock. A right one, unless a test says otherwise. */
  clockWord: ClockWord = 'chip';

  constructor(options: {
    readonly volume: Volume;
    readonly checkpoints: CheckpointStore;
    readonly clock: SimClock;
    readonly seed?: number;
    /** Where uplinks lead; the real network, where nothing is said. */
    readonly makeSink?: MakeSink;
  }) {
    this.clock = options.clock;
    this.network = new SimNetwork(this.clock);
    this.#volume = options.volume;
    this.#checkpoints = options.checkpoints;
    this.#seed = options.seed ?? 1;
    this.#makeSink = options.makeSink ?? makeSink;
  }

  /**
   * Starts and lets virtual time pass until it listens. Rejects as the real start would. The ring is
   * of 1 MiB, where the configuration says nothing else.
   */
  async start(toml = ''): Promise<void> {
    const config = await simConfig(toml);
    const starting = startCistern(config, this.#environment());
    let failure: unknown;
    starting.then(
      (running) => {
        this.running = running;
      },
      (error: unknown) => {
        failure = error;
      },
    );
    for (let i = 0; i < 20_000 && this.running === undefined && failure === undefined; i++) {
      await this.clock.advance(1);
    }
    if (failure instanceof Error) throw failure;
    if (failure !== undefined) throw new Error('the start failed', { cause: failure });
    if (this.running === undefined) throw new Error('the broker did not start in 20 simulated s');
  }

  client(version: ProtocolVersion = 4): SimClient {
    return new SimClient(this.network.connect(ADDRESS), version);
  }

  /** A client whose CONNECT was answered. */
  async connected(
    options: Parameters<SimClient['connect']>[0],
    version: ProtocolVersion = 4,
  ): Promise<SimClient> {
    const client = this.client(version);
    client.connect(options);
    await this.settle();
    return client;
  }

  /** Lets everything happen that needs no more than a few milliseconds of virtual time. */
  async settle(ms = 20): Promise<void> {
    await this.clock.advance(ms);
  }

  async stop(): Promise<void> {
    let stopped = false;
    const stopping = this.running?.stop().then(() => {
      stopped = true;
    });
    for (let i = 0; i < 5_000 && !stopped; i++) await this.clock.advance(1);
    await stopping;
  }

  #read(path: string): string {
    const text = this.files[path];
    if (text === undefined) throw new Error(`there is no file ${path}`);
    return text;
  }

  #environment(): Environment {
    const { clock, network, logger } = this;
    return {
      version: 'sim',
      clock,
      clockEvidence: { earliestMs: Date.UTC(2025, 0, 1), read: async () => this.clockWord },
      network,
      logger,
      random: new SimRandom(this.#seed),
      http: { serve: async () => ({ address: 'sim', close: async () => undefined }) },
      crc32: nodeCrc32,
      compressor: nodeCompressor,
      lockData: async () => ({ release: async () => undefined }),
      openVolume: async () => this.#volume,
      openCheckpoints: async () => this.#checkpoints,
      findDevice: () => this.device,
      machineId: async () => 'sim-machine',
      directoryId: async () => this.directoryId,
      secrets: { readText: async (path) => this.#read(path), env: {} },
      makeSink: this.#makeSink,
      passwordHashing: createNodePasswordHashing(),
      readTokenKeys,
      disks: {
        fileSystemOf: async () => this.fileSystem,
        refusalOf: async () => undefined,
        filesIn: async () => [],
        stopCopyOnWrite: async () => true,
      },
      memory: { residentBytes: () => 40_000_000, residentBytesMax: () => 50_000_000 },
      stampFiles: async (paths) => paths.map((path) => this.files[path] ?? '').join('\0'),
      onProgress: () => undefined,
    };
  }
}

async function simConfig(toml: string): Promise<Config> {
  const hasStorage = toml.includes('[storage]');
  const text = hasStorage ? toml : `[storage]\nsize = "1MiB"\nsegment = "64KiB"\n${toml}`;
  const { config } = await loadConfig({ path: 'sim.toml', readText: async () => text });
  return config;
}
