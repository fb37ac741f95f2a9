import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ClockEvidence, ClockWord } from '../clock-evidence.ts';

/** Node.js 24, which this runs on, is of that month. Clocks without power start long before. */
const EARLIEST_MS = Date.UTC(2025, 4, 1);
/** A chip may be kept in local time, which is off by less than this. */
const CHIP_TOLERANCE_MS = 24 * 3_600_000;

/** Where the kernel and systemd show what they know; handed in so that a test can stand in for them. */
export interface EvidencePlaces {
  /** Made by systemd-timesyncd at its first answer in this boot (systemd-timesyncd.service(8)). */
  readonly synchronised: string;
  /** A folder for each real-time clock, with `since_epoch` in it (sysfs-class-rtc in the kernel's ABI). */
  readonly chips: string;
  readonly arch: string;
  readonly wallMs: () => number;
}

const MACHINE: EvidencePlaces = {
  synchronised: '/run/systemd/timesync/synchronized',
  chips: '/sys/class/rtc',
  arch: process.arch,
  wallMs: () => Date.now(),
};

/**
 * What Linux shows in files: no program is started, and adjtimex(2), which Node does not have, would
 * say little more, since other synchronisers than timesyncd step the clock when they have the time,
 * and a step is seen by whoever watches the clock.
 *
 * - A clock chip is believed only where it shows a possible time that the wall clock agrees with. One
 *   whose battery is empty starts in 1970 or 2000.
 * - Where none is to be seen the kind of machine decides. A PC has always had one, and what runs on a PC
 *   without seeing it (containers, light virtual machines) has its time from the machine below. Boards
 *   with ARM, RISC-V or MIPS often have none, a container on them included: those need a
 *   synchroniser's word or its step. In a container, mount /run/systemd/timesync into it.
 */
export function createNodeClockEvidence(places: EvidencePlaces = MACHINE): ClockEvidence {
  return {
    earliestMs: EARLIEST_MS,
    async read(): Promise<ClockWord> {
      if (await exists(places.synchronised)) return 'synchronised';
      const chips = await namesIn(places.chips);
      if (chips.length === 0) return isPc(places.arch) ? 'chip' : 'none';
      for (const chip of chips) {
        const shownMs = await shownBy(join(places.chips, chip, 'since_epoch'));
        const differenceMs = Math.abs(shownMs - places.wallMs());
        if (shownMs >= EARLIEST_MS && differenceMs <= CHIP_TOLERANCE_MS) return 'chip';
      }
      return 'none';
    },
  };
}

function isPc(arch: string): boolean {
  return arch === 'x64' || arch === 'ia32';
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function namesIn(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch(() => []);
}

/** What a chip shows, in milliseconds since 1970; NaN where it does not say (an invalid time is an error). */
function shownBy(path: string): Promise<number> {
  return readFile(path, 'ascii').then(
    (text) => Number.parseInt(text, 10) * 1000,
    () => Number.NaN,
  );
}
