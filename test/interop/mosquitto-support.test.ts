import { connectAsync } from 'mqtt';
import { describe, expect, test } from 'vitest';
import { startMosquitto } from '../support/mosquitto.ts';

describe('the Mosquitto that interop tests run against', () => {
  test('keeps a retained message over kill and restart on the same port', async () => {
    const server = await startMosquitto({
      config: ['persistence true', 'persistence_location {folder}/'],
    });
    try {
      const client = await connectAsync(`mqtt://127.0.0.1:${server.port}`, { reconnectPeriod: 0 });
      await client.publishAsync('kept', 'value', { qos: 1, retain: true });
      await client.endAsync();
      await server.shutDown();
      await server.restart();
      const again = await connectAsync(`mqtt://127.0.0.1:${server.port}`, { reconnectPeriod: 0 });
      const arrived = new Promise<string>((resolve) => {
        again.once('message', (_topic, payload) => resolve(payload.toString()));
      });
      await again.subscribeAsync('kept');
      expect(await arrived).toBe('value');
      await again.endAsync();
    } finally {
      await server.stop();
    }
  });

  test('says what Mosquitto said when it cannot start', async () => {
    await expect(startMosquitto({ config: ['no_such_option 1'] })).rejects.toThrow(
      /Unknown configuration variable/,
    );
  });
});
