import { describe, expect, test } from 'vitest';
import type { SimClient } from '../../support/sim-client.ts';
import { PUBACK, start } from './sim-broker.ts';

function value(client: SimClient, name: string): string | undefined {
  return client.received.findLast(({ topic }) => topic === `$SYS/broker/${name}`)?.payload;
}

describe('$SYS', () => {
  test('a new subscriber gets the whole tree, retained', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'dashboard' });
    client.subscribe(1, ['$SYS/#', 1]);
    await cistern.settle();
    expect(client.received.every(({ retain, qos }) => retain && qos === 0)).toBe(true);
    expect(value(client, 'version')).toBe('cistern version sim');
    expect(value(client, 'uptime')).toMatch(/^\d+ seconds$/);
    expect(value(client, 'clients/connected')).toBe('1');
    expect(value(client, 'subscriptions/count')).toBe('1');
    expect(value(client, 'heap/current')).toBe('40000000');
    expect(value(client, 'heap/maximum')).toBe('50000000');
    expect(value(client, 'load/messages/received/15min')).toBe('0.00');
    expect(client.received.length).toBeGreaterThan(45);
  });

  test('who listens is told every 10 s of what changed, and of nothing else', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'dashboard' });
    client.subscribe(1, ['$SYS/broker/publish/#', 0], ['$SYS/broker/clients/+', 0]);
    await cistern.settle();
    await cistern.settle(10_000);
    const told = client.received.length;
    const publisher = await cistern.connected({ clientId: 'pub' });
    for (let id = 1; id <= 5; id++) publisher.publish('t', 'abcd', { qos: 1, packetId: id });
    await cistern.settle(10_000);
    expect(value(client, 'publish/messages/received')).toBe('5');
    expect(value(client, 'publish/bytes/received')).toBe('20');
    expect(value(client, 'clients/connected')).toBe('2');
    const fresh = client.received.slice(told);
    expect(fresh.some(({ topic }) => topic === '$SYS/broker/clients/expired')).toBe(false);
    expect(fresh.every(({ retain }) => !retain)).toBe(true);
  });

  test('loads are rates a minute that fade over 1, 5 and 15 minutes', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'dashboard' });
    client.subscribe(1, ['$SYS/broker/load/publish/received/+', 0]);
    await cistern.settle(5_000);
    for (let i = 0; i < 600; i++) client.publish('t', 'x');
    await cistern.settle(10_000);
    const one = Number(value(client, 'load/publish/received/1min'));
    const five = Number(value(client, 'load/publish/received/5min'));
    // 3,600 a minute over ten seconds: 3,600 × (1 − e^(−10/60)), and a fifth of that exponent.
    expect(one).toBeCloseTo(552.7, 0);
    expect(five).toBeCloseTo(118.0, 0);
    await cistern.settle(300_000);
    expect(Number(value(client, 'load/publish/received/1min'))).toBeLessThan(10);
    expect(Number(value(client, 'load/publish/received/15min'))).toBeGreaterThan(20);
  });

  test('is not matched by # and takes nothing of the ring', async () => {
    const cistern = await start();
    const client = await cistern.connected({ clientId: 'all' });
    client.subscribe(1, ['#', 0], ['+/broker/#', 0]);
    await cistern.settle();
    const before = cistern.running?.status().ring.usedBytes;
    await cistern.settle(30_000);
    expect(client.received).toEqual([]);
    expect(cistern.running?.status().ring.usedBytes).toBe(before);
  });

  test('clients may not publish to it', async () => {
    const cistern = await start();
    const watcher = await cistern.connected({ clientId: 'w' });
    watcher.subscribe(1, ['$SYS/fake/#', 0]);
    const client = await cistern.connected({ clientId: 'liar' }, 5);
    client.publish('$SYS/fake/alarm', 'x', { qos: 1, packetId: 1, retain: true });
    client.publish('ok', 'x', { qos: 1, packetId: 2 });
    await cistern.settle();
    expect(client.acks).toMatchObject([
      { type: PUBACK, packetId: 1, reasonCode: 0x87 },
      { type: PUBACK, packetId: 2, reasonCode: 0 },
    ]);
    expect(watcher.received).toEqual([]);
  });

  test('a will may not be published to it either', async () => {
    const cistern = await start();
    const client = cistern.client(5);
    const payload = Buffer.from('x');
    const properties = { userProperties: [], subscriptionIds: [] };
    client.connect({
      clientId: 'liar',
      will: { topic: '$SYS/broker/version', payload, qos: 0, retain: true, properties },
    });
    await cistern.settle();
    expect(client.last('connack')).toMatchObject({ reasonCode: 0x87 });
  });
});
