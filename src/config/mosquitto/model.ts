import type { Origin } from './notes.ts';
import type { Given, Settings } from './settings.ts';

/** What a `mosquitto.conf` with its includes says, by section. */
export interface ConfModel {
  readonly general: Settings;
  /** What holds for every listener that does not say otherwise. */
  readonly access: Access;
  readonly logDestinations: readonly Given<string>[];
  readonly logTypes: readonly Given<string>[];
  /** In the order of the file, the default listener first where something configures it. */
  readonly listeners: readonly ConfListener[];
  readonly bridges: readonly ConfBridge[];
}

/** Who may come in, of all listeners or of one. */
export interface Access {
  readonly settings: Settings;
  readonly plugins: Plugin[];
}

export interface Plugin {
  readonly path: string;
  readonly at: Origin;
  /** Options by their name without `plugin_opt_` or `auth_opt_`. */
  readonly options: Map<string, Given<string>>;
}

export interface ConfListener {
  /** Undefined for the default one, which no line begins. */
  readonly at: Origin | undefined;
  /** 0 stands for a Unix socket, at `host`. */
  port: number;
  host: Given<string> | undefined;
  /** Whether some line is about it; the default listener is there with one or without any other. */
  isConfigured: boolean;
  readonly settings: Settings;
  readonly access: Access;
}

export interface ConfBridge {
  readonly name: string;
  readonly at: Origin;
  readonly settings: Settings;
  addresses: readonly Given<string>[];
  readonly topics: BridgeTopic[];
}

/** A `topic` line: `pattern` follows the prefix of either side. */
export interface BridgeTopic {
  readonly at: Origin;
  readonly pattern: string;
  readonly direction: 'out' | 'in' | 'both';
  readonly qos: number;
  readonly localPrefix: string;
  readonly remotePrefix: string;
}
