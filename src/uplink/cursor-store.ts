import { stateKey, stateKeyParts } from '../metadata/state-codec.ts';
import type { StateStore } from '../metadata/state-store.ts';
import type { Offset } from '../ring/types.ts';

/** Where uplinks keep their positions. */
export interface CursorStore {
  /** The first offset that is not acknowledged, or undefined where nothing was saved. */
  load(uplink: string, partitionId: number): Offset | undefined;
  /** Takes effect with the next commit, which it does not hurry. */
  save(uplink: string, partitionId: number, offset: Offset): void;
}

/** Positions as control records that ride in commits made for other reasons. */
export function createCursorStore(state: StateStore): CursorStore {
  const keyOf = (uplink: string, partitionId: number): string =>
    stateKey('uplink', uplink, String(partitionId));
  return {
    load(uplink, partitionId) {
      const value = state.get(keyOf(uplink, partitionId));
      if (typeof value !== 'object' || value === null || !('offset' in value)) return undefined;
      return typeof value.offset === 'number' ? value.offset : undefined;
    },
    save(uplink, partitionId, offset) {
      state.put(keyOf(uplink, partitionId), { offset }, { rides: true });
    },
  };
}

/** Every position that any uplink has saved. */
export function* savedCursors(
  state: StateStore,
): Generator<{ readonly partitionId: number; readonly offset: Offset }> {
  for (const [key, value] of state.entries(stateKey('uplink', ''))) {
    const partitionId = Number(stateKeyParts(key)[2]);
    const { offset } = value as { readonly offset: Offset };
    yield { partitionId, offset };
  }
}
