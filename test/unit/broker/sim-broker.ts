import { afterEach } from 'vitest';
import { noProperties, type Properties } from '../../../src/codec/properties.ts';
import { MemoryCheckpoint } from '../../../src/metadata/memory-checkpoint.ts';
import { SimCistern } from '../../support/sim-cistern.ts';
import type { SimClient } from '../../support/sim-client.ts';
import { SimClock } from '../../support/sim-clock.ts';
import { SimDisk } from '../../support/sim-disk.ts';

export const PUBACK = 4;
export const PUBREC = 5;
export const PUBREL = 6;
export const PUBCOMP = 7;

let opened: SimCistern[] = [];

afterEach(async () => {
  for (const cistern of opened) await cistern.stop();
  opened = [];
});

/** A broker on a simulated world, stopped when the test ends. */
export async function start(toml?: string): Promise<SimCistern> {
  const clock = new SimClock();
  const cistern = new SimCistern({
    volume: new SimDisk({ clock }),
    checkpoints: new MemoryCheckpoint(),
    clock,
  });
  await cistern.start(toml);
  opened.push(cistern);
  return cistern;
}

/** One that can be killed and started again on what survives a process crash, or a power cut. */
export async function startMortal(toml?: string) {
  let clock = new SimClock();
  let disk = new SimDisk({ clock });
  let checkpoints = new MemoryCheckpoint();
  let cistern = new SimCistern({ volume: disk, checkpoints, clock });
  await cistern.start(toml);
  const restart = async (): Promise<void> => {
    clock = new SimClock({ startMs: clock.monotonicMs() + 1000 });
    disk = disk.reboot({ clock });
    checkpoints = checkpoints.crash();
    opened = opened.filter((each) => each !== cistern);
    cistern = new SimCistern({ volume: disk, checkpoints, clock });
    await cistern.start(toml);
    opened.push(cistern);
  };
  return {
    get cistern() {
      return cistern;
    },
    async killAndRestart(): Promise<void> {
      disk.kill(1);
      await restart();
    },
    async stopAndRestart(): Promise<void> {
      await cistern.stop();
      disk.kill(1);
      await restart();
    },
  };
}

export function properties(some: Partial<Properties>): Properties {
  return { ...noProperties(), ...some };
}

export function payloads(client: SimClient): string[] {
  return client.received.map(({ payload }) => payload);
}

export function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);
}
