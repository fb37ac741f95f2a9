import type { LogFields, Logger, LogLevel } from '../../src/platform/logger.ts';

export interface LogEntry {
  readonly level: LogLevel;
  readonly component: string;
  readonly event: string;
  readonly fields: LogFields;
}

/** Keeps every line, so that a test can assert what the user was told. Children share the list. */
export class MemoryLogger implements Logger {
  readonly entries: LogEntry[];
  readonly #component: string;

  constructor(component = '', entries: LogEntry[] = []) {
    this.#component = component;
    this.entries = entries;
  }

  debug(event: string, fields: LogFields = {}): void {
    this.#add('debug', event, fields);
  }

  info(event: string, fields: LogFields = {}): void {
    this.#add('info', event, fields);
  }

  warn(event: string, fields: LogFields = {}): void {
    this.#add('warn', event, fields);
  }

  error(event: string, fields: LogFields = {}): void {
    this.#add('error', event, fields);
  }

  child(component: string): MemoryLogger {
    return new MemoryLogger(component, this.entries);
  }

  /** The lines with this level or a worse one. */
  atLeast(level: 'warn' | 'error'): readonly LogEntry[] {
    return this.entries.filter(
      (entry) => entry.level === 'error' || (level === 'warn' && entry.level === 'warn'),
    );
  }

  #add(level: LogLevel, event: string, fields: LogFields): void {
    this.entries.push({ level, component: this.#component, event, fields });
  }
}
