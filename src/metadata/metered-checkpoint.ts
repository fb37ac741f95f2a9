import type { CheckpointChange, CheckpointStore } from './types.ts';

/** The same store; `onWritten` is told after each commit how many device bytes it took. */
export function meterCheckpoints(
  store: CheckpointStore,
  onWritten: (deviceBytes: number) => void,
): CheckpointStore {
  let toldBytes = 0;
  const tell = (): void => {
    const { writtenBytes } = store;
    if (writtenBytes > toldBytes) onWritten(writtenBytes - toldBytes);
    toldBytes = Math.max(toldBytes, writtenBytes);
  };
  return {
    get setAside() {
      return store.setAside;
    },
    get writtenBytes() {
      return store.writtenBytes;
    },
    get isEmpty() {
      return store.isEmpty;
    },
    load: () => store.load(),
    async commit(change: CheckpointChange) {
      try {
        await store.commit(change);
      } finally {
        tell();
      }
    },
    close: () => store.close(),
  };
}
