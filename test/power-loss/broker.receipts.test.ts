import { expect, test } from 'vitest';
import { MemoryCheckpoint } from '../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../support/sim-cistern.ts';
import { SimClock } from '../support/sim-clock.ts';
import { SimDisk } from '../support/sim-disk.ts';

const RING =
  '[storage]\nsize = "1MiB"\nsegment = "64KiB"\n[[stream]]\nname = "f"\ntopics = ["f/#"]\n';
const QUOTA = '[[stream]]\nname = "s"\ntopics = ["state"]\nquota = "64KiB"\n';
const LAPS = 3;
const FILLER_BYTES = 4_000;

test.each([
  { what: 'a retained value', config: RING },
  { what: 'a record within the quota of its stream', config: `${RING}${QUOTA}` },
])(
  '$what that is carried on does not open its packet identifier again without a checkpoint',
  async ({ config }) => {
    const clock = new SimClock();
    const disk = new SimDisk({ clock });
    const cistern = new SimCistern({ volume: disk, checkpoints: new MemoryCheckpoint(), clock });
    await cistern.start(config);
    const device = await cistern.connected({ clientId: 'device', cleanStart: false });
    device.publish('state', 'first', { qos: 2, packetId: 5, retain: true });
    await cistern.settle(50);
    const noise = Buffer.alloc(FILLER_BYTES);
    for (let at = 0; at < LAPS * 2 ** 20; at += FILLER_BYTES) {
      noise.writeUInt32LE(at);
      device.publish('f/filler', noise, { qos: 1, packetId: 6 });
      await cistern.settle(10);
    }
    expect(cistern.running?.status().ring.epoch).toBeGreaterThan(LAPS * 4);

    disk.kill(1);
    const later = new SimClock({ startMs: clock.monotonicMs() });
    const next = new SimCistern({
      volume: disk.reboot({ clock: later }),
      checkpoints: new MemoryCheckpoint(),
      clock: later,
    });
    await next.start(config);
    const again = await next.connected({ clientId: 'device', cleanStart: false });
    again.publish('state', 'second', { qos: 2, packetId: 5, retain: true });
    await next.settle(50);
    expect(again.acks.map(({ type }) => type)).toEqual([5, 7]);
    const stranger = await next.connected({ clientId: 'stranger' });
    stranger.subscribe(1, ['state', 1]);
    await next.settle(50);
    expect(stranger.received.map(({ payload }) => payload)).toEqual(['second']);
    await next.stop();
  },
);
