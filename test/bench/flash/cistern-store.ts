import { join } from 'node:path';
import { encodePublish } from '../../../src/codec/publish-encoder.ts';
import { Cistern } from '../../support/executable.ts';
import { Client } from '../load/client.ts';
import type { Store, StoreKind } from './store.ts';
import { cisternVersion } from './versions.ts';

const RING_SIZE = '64MiB';
const NO_PROPERTIES = new Uint8Array(0);

/**
 * The executable over MQTT: a commit is a burst of QoS 1 messages in one write of one client, done
 * when all are acknowledged. The broker may take several commits for a burst.
 */
export const cisternKind: StoreKind = {
  name: 'Cistern',
  describe: () => `Cistern ${cisternVersion}, the executable, ring of ${RING_SIZE}, QoS 1 acks`,
  open: openCistern,
};

async function openCistern(folder: string): Promise<Store> {
  const dataDir = join(folder, 'cistern');
  // A run is not to be slowed down by what it would cost in a day.
  const toml = '[storage.wear]\nbudget = "100TB/day"';
  const cistern = await Cistern.start({ dataDir, size: RING_SIZE, toml });
  let client: Client;
  let fail = (error: Error): void => {
    throw error;
  };
  try {
    client = await Client.open(cistern.mqttPort, 'flash', (error) => fail(error));
  } catch (error) {
    await cistern.stop();
    throw error;
  }
  return {
    commit: (messages) =>
      new Promise((resolve, reject) => {
        fail = reject;
        let waiting = messages.length;
        client.handler = {
          onAck: () => {
            waiting--;
            if (waiting === 0) resolve();
          },
        };
        const packets = messages.map(({ topic, payload }, n) => {
          const topicBytes = Buffer.from(topic);
          return encodePublish(4, topicBytes, 1, false, false, n + 1, NO_PROPERTIES, payload).bytes;
        });
        client.write(Buffer.concat(packets));
      }),
    commits: async () => (await cistern.status<{ wear: { flushes: number } }>()).wear.flushes,
    async close() {
      client.close();
      await cistern.stop();
    },
  };
}
