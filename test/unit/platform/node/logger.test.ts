import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../../src/platform/clock.ts';
import { createLogger } from '../../../../src/platform/node/logger.ts';

class ManualClock implements Clock {
  readonly bootId = 'test';
  readonly #timers: { atMs: number; fn: () => void }[] = [];
  #nowMs = 0;

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return Date.UTC(2026, 10, 22, 12, 0, 0) + this.#nowMs;
  }

  after(delayMs: number, fn: () => void): { cancel(): void } {
    this.#timers.push({ atMs: this.#nowMs + delayMs, fn });
    return { cancel: () => undefined };
  }

  atTurnEnd(fn: () => void): void {
    fn();
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const timer of this.#timers.splice(0)) {
      if (timer.atMs <= this.#nowMs) timer.fn();
      else this.#timers.push(timer);
    }
  }
}

function setUp(format: 'auto' | 'json' | 'text' = 'json', isTTY = false) {
  const lines: string[] = [];
  const clock = new ManualClock();
  const stream = { isTTY, write: (text: string) => lines.push(text) };
  return { lines, clock, logger: createLogger({ level: 'info', format, stream, clock }) };
}

describe('lines', () => {
  test('JSON has the time, the level, the component, the event and the fields', () => {
    const { lines, logger } = setUp();
    logger
      .child('uplink')
      .info('uplink.connected', { name: 'cloud', afterMs: 12, error: undefined });
    expect(lines).toHaveLength(1);
    expect(lines[0]?.endsWith('\n')).toBe(true);
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '2026-11-22T12:00:00.000Z',
      level: 'info',
      component: 'uplink',
      event: 'uplink.connected',
      name: 'cloud',
      afterMs: 12,
    });
  });

  test('a terminal gets text, a file gets JSON', () => {
    const terminal = setUp('auto', true);
    terminal.logger.child('ring').warn('ring.slow', { took: '5 ms', slot: 3 });
    expect(terminal.lines).toEqual(['12:00:00.000 warn  ring     ring.slow took="5 ms" slot=3\n']);
    const file = setUp('auto', false);
    file.logger.info('app.started');
    expect(file.lines[0]).toMatch(/^\{/);
  });

  test('a value cannot forge a line or move the cursor', () => {
    const { lines, logger } = setUp('text');
    logger.info('client.refused', { id: 'x\n12:00:00.000 error app forged\u001b[2J' });
    expect(lines.join('')).not.toContain('\u001b');
    expect(lines.join('').trimEnd().split('\n')).toHaveLength(1);
  });

  test('what is below the level is not written', () => {
    const { lines, logger } = setUp();
    logger.debug('detail.seen');
    expect(lines).toEqual([]);
  });
});

describe('repeats', () => {
  test('of one warning are cut off, and their number is told', () => {
    const { lines, clock, logger } = setUp();
    for (let count = 0; count < 1000; count++) logger.warn('client.refused', { count });
    expect(lines).toHaveLength(5);
    clock.advance(10_000);
    expect(lines).toHaveLength(6);
    expect(JSON.parse(lines[5] ?? '')).toMatchObject({
      event: 'client.refused',
      suppressed: 995,
    });
  });

  test('begin anew in the next window, without a word where nothing was held back', () => {
    const { lines, clock, logger } = setUp();
    for (let count = 0; count < 5; count++) logger.warn('client.refused');
    clock.advance(10_000);
    expect(lines).toHaveLength(5);
    logger.warn('client.refused');
    expect(lines).toHaveLength(6);
  });

  test('neither hide another event nor another component', () => {
    const { lines, logger } = setUp();
    for (let count = 0; count < 100; count++) logger.warn('client.refused');
    logger.warn('ring.failed');
    logger.child('uplink').warn('client.refused');
    logger.error('client.refused');
    expect(lines).toHaveLength(8);
  });

  test('of information are all written', () => {
    const { lines, logger } = setUp();
    for (let count = 0; count < 100; count++) logger.info('client.connected');
    expect(lines).toHaveLength(100);
  });
});
