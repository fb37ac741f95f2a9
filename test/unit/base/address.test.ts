import { expect, test } from 'vitest';
import { isLoopback, splitAddress } from '../../../src/base/address.ts';

test.each([
  ['127.0.0.1:1883', '127.0.0.1', 1883],
  ['[::1]:1', '::1', 1],
  [':1883', '::', 1883],
  ['gateway.local:0', 'gateway.local', 0],
])('%s in its parts', (address, host, port) => {
  expect(splitAddress(address)).toEqual({ host, port });
});

test.each(['127.0.0.1', '1883', '::1:1883', 'host:65536', 'host:', '[]:1', 'a:b:1'])(
  '%s is not one',
  (address) => {
    expect(splitAddress(address)).toBeUndefined();
    expect(isLoopback(address)).toBe(false);
  },
);

test('every address of the machine is more than loopback', () => {
  expect([':1', '0.0.0.0:1', '[::]:1', '10.0.0.1:1'].filter(isLoopback)).toEqual([]);
  expect(['127.0.0.1:1', '127.9.9.9:1', 'localhost:1', '[::1]:1'].every(isLoopback)).toBe(true);
});
