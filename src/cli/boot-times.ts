import { decodeControl } from '../metadata/control-record.ts';
import { decodeState } from '../metadata/state-codec.ts';
import { type BootClock, BootTimes } from '../ring/event-time.ts';
import type { RecordView } from '../ring/types.ts';
import { RecordFlag } from '../ring/types.ts';
import { bootClockIn } from '../streams/timekeeper.ts';

/** What the control records of a ring say of the clocks of its boots, read without starting anything. */
export async function bootTimesOf(records: AsyncIterable<RecordView>): Promise<BootTimes> {
  const newest = new Map<number, { readonly sequence: number; readonly boot: BootClock }>();
  for await (const { flags, payload, sequence } of records) {
    if ((flags & RecordFlag.control) === 0) continue;
    const { key, value } = decodeControl(payload);
    const boot = value.length === 0 ? undefined : bootClockIn(key, decodeState(value));
    if (boot === undefined) continue;
    // Copies keep their sequence and may come behind what replaced them.
    const known = newest.get(boot.bootNumber);
    if (known === undefined || known.sequence < sequence) {
      newest.set(boot.bootNumber, { sequence, boot });
    }
  }
  return new BootTimes([...newest.values()].map(({ boot }) => boot));
}
