import { describe, expect, test } from 'vitest';
import { LoginThrottle } from '../../../src/auth/login-throttle.ts';

const guesser = { address: '203.0.113.9', username: 'ann' };

/** Guesses as fast as it is let, for `forMs`, and counts the guesses that were checked. */
function guess(throttle: LoginThrottle, keys: typeof guesser, forMs: number, fromMs = 0): number {
  let checked = 0;
  for (let nowMs = fromMs; nowMs < fromMs + forMs; nowMs += 10) {
    if (throttle.enter(keys, nowMs) === undefined) continue;
    checked++;
    throttle.failed(keys, nowMs);
  }
  return checked;
}

describe('guessing', () => {
  test('costs nothing for a few slips, and then little gets through', () => {
    const throttle = new LoginThrottle();
    for (let slip = 0; slip < 5; slip++) {
      expect(throttle.enter(guesser, slip)).toBe(0);
      throttle.failed(guesser, slip);
    }
    expect(throttle.enter(guesser, 10)).toBe(0);
    expect(throttle.enter(guesser, 10)).toBe(100);
    const checked = guess(throttle, guesser, 60_000, 1_000);
    expect(checked).toBeGreaterThan(20);
    expect(checked).toBeLessThan(50);
  });

  test('from many addresses at one user is slowed down by the user', () => {
    const throttle = new LoginThrottle();
    let checked = 0;
    for (let at = 0; at < 6_000; at++) {
      const keys = { address: `198.51.100.${at % 250}`, username: 'ann' };
      if (throttle.enter(keys, at * 10) === undefined) continue;
      checked++;
      throttle.failed(keys, at * 10);
    }
    expect(checked).toBeLessThan(60);
  });

  test('from one /64 is one guesser, and from another one it is another', () => {
    const throttle = new LoginThrottle();
    for (let at = 0; at < 30; at++) {
      throttle.failed({ address: `2001:db8:1:2::${at}`, username: `user${at}` }, 0);
    }
    const isFree = (address: string) => throttle.isFree({ address, username: 'new' }, 0);
    expect(isFree('2001:db8:1:2:ffff:0:0:1')).toBe(false);
    expect(isFree('2001:db8:1:3::1')).toBe(true);
    expect(isFree('::1')).toBe(true);
  });

  test('is forgiven in time', () => {
    const throttle = new LoginThrottle();
    guess(throttle, guesser, 60_000);
    expect(throttle.isFree(guesser, 61_000)).toBe(false);
    expect(throttle.isFree(guesser, 61_000 + 60 * 10_000)).toBe(true);
  });

  test('does not hold up a device that has come in before, at that address or by that name', () => {
    const throttle = new LoginThrottle();
    const device = { address: '192.0.2.1', username: 'device' };
    throttle.succeeded(device, 0);
    guess(throttle, { address: device.address, username: 'other' }, 30_000);
    guess(throttle, { address: '203.0.113.9', username: device.username }, 30_000);
    expect(throttle.enter(device, 30_000)).toBe(0);
    expect(throttle.enter({ ...device, username: 'new' }, 30_000)).not.toBe(0);
  });

  test('at the address and by the name of such a device is slowed down like any other', () => {
    const throttle = new LoginThrottle();
    throttle.succeeded(guesser, 0);
    expect(guess(throttle, guesser, 60_000)).toBeLessThan(60);
  });

  test('one wrong device does not hold up the many beside it', () => {
    const throttle = new LoginThrottle();
    const address = '192.0.2.1';
    let longestMs = 0;
    for (let at = 0; at < 500; at++) {
      throttle.failed({ address, username: 'old password' }, at * 1_000);
      for (let device = 0; device < 4; device++) {
        const keys = { address, username: `d${at}-${device}` };
        longestMs = Math.max(longestMs, throttle.enter(keys, at * 1_000) ?? Number.NaN);
        throttle.succeeded(keys, at * 1_000);
      }
    }
    expect(longestMs).toBe(0);
  });

  test('with a hundred thousand names keeps a bounded table, and the address stays slow', () => {
    const throttle = new LoginThrottle();
    for (let at = 0; at < 100_000; at++) {
      throttle.failed({ address: '203.0.113.9', username: `user${at}` }, 0);
    }
    expect(throttle.size).toBeLessThanOrEqual(4_096);
    expect(throttle.isFree({ address: '203.0.113.9', username: 'new' }, 0)).toBe(false);
  });
});
