export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Values a log line may carry; keep them flat, with units in the names. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/**
 * JSON lines, or text on a terminal. `event` is stable (dashboards match on it), in the form
 * `noun.verb`, such as `uplink.connected`. Repeats of a warning with one event are rate-limited.
 */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** The same logger with another `component` field. */
  child(component: string): Logger;
}
