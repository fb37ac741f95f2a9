import type { UplinkStatus } from '../admin/status.ts';
import type { Config } from '../config/types.ts';
import type { StateStore } from '../metadata/state-store.ts';
import type { RecordReader } from '../streams/types.ts';
import type { Environment } from './environment.ts';
import type { Identity } from './identity.ts';

export interface RunningUplinks {
  statuses(): readonly UplinkStatus[];
  stop(): Promise<void>;
}

export function startUplinks(_options: {
  readonly config: Config;
  readonly identity: Identity;
  readonly reader: RecordReader;
  readonly state: StateStore;
  readonly environment: Environment;
}): RunningUplinks {
  return { statuses: () => [], stop: async () => undefined };
}
