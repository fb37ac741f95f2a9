import type { Clock } from '../clock.ts';
import type { LogFields, Logger, LogLevel } from '../logger.ts';
import { createNodeClock } from './clock.ts';

/** As much of a writable stream as a logger needs. */
export interface LogStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** `auto`: text on a terminal, JSON lines elsewhere. */
  readonly format: 'auto' | 'json' | 'text';
  readonly stream: LogStream;
  readonly clock?: Clock;
}

const LEVELS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Warnings and errors of one component and event that are written within one window. */
const REPEATS_PER_WINDOW = 5;
const REPEAT_WINDOW_MS = 10_000;

export function createLogger(options: LoggerOptions): Logger {
  const clock = options.clock ?? createNodeClock();
  const asText = options.format === 'text' || (options.format === 'auto' && options.stream.isTTY);
  const write = (level: LogLevel, component: string, event: string, fields: LogFields): void => {
    if (LEVELS[level] < LEVELS[options.level]) return;
    const time = new Date(clock.wallMs());
    const format = asText ? formatText : formatJson;
    options.stream.write(`${format(time, level, component, event, fields)}\n`);
  };
  return new ComponentLogger('app', write, new RepeatLimit(clock, write));
}

type Write = (level: LogLevel, component: string, event: string, fields: LogFields) => void;

class ComponentLogger implements Logger {
  readonly #component: string;
  readonly #write: Write;
  readonly #limit: RepeatLimit;

  constructor(component: string, write: Write, limit: RepeatLimit) {
    this.#component = component;
    this.#write = write;
    this.#limit = limit;
  }

  debug(event: string, fields: LogFields = {}): void {
    this.#write('debug', this.#component, event, fields);
  }

  info(event: string, fields: LogFields = {}): void {
    this.#write('info', this.#component, event, fields);
  }

  warn(event: string, fields: LogFields = {}): void {
    this.#writeLimited('warn', event, fields);
  }

  error(event: string, fields: LogFields = {}): void {
    this.#writeLimited('error', event, fields);
  }

  child(component: string): Logger {
    return new ComponentLogger(component, this.#write, this.#limit);
  }

  #writeLimited(level: LogLevel, event: string, fields: LogFields): void {
    if (this.#limit.admits(level, this.#component, event)) {
      this.#write(level, this.#component, event, fields);
    }
  }
}

interface RepeatWindow {
  written: number;
  suppressed: number;
}

/**
 * Lets the first few of a kind through and says at the end of the window how many more there were:
 * a thousand devices that fail alike must neither fill the card nor hide the one that fails otherwise.
 * Events are a closed list in the code, so the windows are few.
 */
class RepeatLimit {
  readonly #clock: Clock;
  readonly #write: Write;
  readonly #windows = new Map<string, RepeatWindow>();

  constructor(clock: Clock, write: Write) {
    this.#clock = clock;
    this.#write = write;
  }

  admits(level: LogLevel, component: string, event: string): boolean {
    const key = `${level} ${component} ${event}`;
    let window = this.#windows.get(key);
    if (window === undefined) {
      window = { written: 0, suppressed: 0 };
      this.#windows.set(key, window);
      this.#clock.after(REPEAT_WINDOW_MS, () => this.#close(key, level, component, event));
    }
    if (window.written === REPEATS_PER_WINDOW) {
      window.suppressed++;
      return false;
    }
    window.written++;
    return true;
  }

  #close(key: string, level: LogLevel, component: string, event: string): void {
    const suppressed = this.#windows.get(key)?.suppressed ?? 0;
    this.#windows.delete(key);
    if (suppressed > 0) {
      this.#write(level, component, event, { suppressed, windowMs: REPEAT_WINDOW_MS });
    }
  }
}

function formatJson(
  time: Date,
  level: LogLevel,
  component: string,
  event: string,
  fields: LogFields,
): string {
  return JSON.stringify({ time: time.toISOString(), level, component, event, ...fields });
}

function formatText(
  time: Date,
  level: LogLevel,
  component: string,
  event: string,
  fields: LogFields,
): string {
  const clock = time.toISOString().slice(11, 23);
  const details = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${formatValue(value)}`)
    .join('');
  return `${clock} ${level.padEnd(5)} ${component.padEnd(8)} ${event}${details}`;
}

/** Quoted where it could be mistaken for more than one value, or could move the cursor. */
function formatValue(value: LogFields[string]): string {
  const text = String(value);
  return /^[\w.:/@$+#,%-]+$/.test(text) ? text : JSON.stringify(text);
}
