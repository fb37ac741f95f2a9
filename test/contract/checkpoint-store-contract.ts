import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CheckpointStore } from '../../src/metadata/types.ts';

/** One place where a checkpoint is kept. Opening it again finds what was committed. */
export interface CheckpointPlace {
  open(): Promise<CheckpointStore>;
  remove(): Promise<void>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function contentOf(store: CheckpointStore): Record<string, string> {
  const entries = store.load()?.entries ?? [];
  return Object.fromEntries(
    [...entries].map(([key, value]) => [key, Buffer.from(value).toString()]),
  );
}

/** What every checkpoint store promises, whatever it is made of. */
export function describeCheckpointStore(name: string, makePlace: () => Promise<CheckpointPlace>) {
  describe(name, () => {
    let place: CheckpointPlace;
    let store: CheckpointStore;

    beforeEach(async () => {
      place = await makePlace();
      store = await place.open();
    });
    afterEach(async () => {
      await store.close();
      await place.remove();
    });

    async function reopen(): Promise<void> {
      await store.close();
      store = await place.open();
    }

    function commit(sequence: number, puts: Record<string, string>, deletes: string[] = []) {
      const entries = Object.entries(puts).map(([key, value]) => [key, bytes(value)] as const);
      return store.commit({ ringId: 'r1', sequence, replaceAll: false, puts: entries, deletes });
    }

    it('has no checkpoint before the first commit', () => {
      expect(store.load()).toBeUndefined();
      expect(store.setAside).toBeUndefined();
    });

    it('gives back ring id, sequence and entries after it was opened again', async () => {
      await commit(41, { a: '1', b: '' });
      await commit(42, { c: '3', a: '2' }, ['b']);
      await reopen();
      expect(store.load()).toMatchObject({ ringId: 'r1', sequence: 42 });
      expect(contentOf(store)).toEqual({ a: '2', c: '3' });
      expect(store.setAside).toBeUndefined();
    });

    it('keeps an empty value, which is not the same as no value', async () => {
      await commit(1, { empty: '' });
      await reopen();
      expect(contentOf(store)).toEqual({ empty: '' });
    });

    it('empties itself first where the change says so', async () => {
      await commit(1, { old: '1', ['x'.repeat(3000)]: 'long' });
      await store.commit({
        ringId: 'r2',
        sequence: 7,
        replaceAll: true,
        puts: [['new', bytes('2')]],
        deletes: [],
      });
      await reopen();
      expect(store.load()).toMatchObject({ ringId: 'r2', sequence: 7 });
      expect(contentOf(store)).toEqual({ new: '2' });
    });

    it('takes the longest topic as a key, tells such keys apart, changes and removes them', async () => {
      const long = `session\u0000${'ä'.repeat(30_000)}`;
      await commit(1, { [`${long}1`]: 'one', [`${long}2`]: 'two', [`${long}3`]: 'three' });
      await reopen();
      await commit(2, { [`${long}3`]: 'changed' }, [`${long}2`]);
      await commit(3, { [`${long}2`]: 'again' });
      await reopen();
      await commit(4, { [`${long}4`]: 'four' });
      await commit(5, {}, [`${long}4`]);
      await reopen();
      expect(contentOf(store)).toEqual({
        [`${long}1`]: 'one',
        [`${long}2`]: 'again',
        [`${long}3`]: 'changed',
      });
    });

    it('takes far more than it began with', async () => {
      const puts = Array.from(
        { length: 400 },
        (_, i) => [`k${i}`, new Uint8Array(20_000)] as const,
      );
      await store.commit({ ringId: 'r1', sequence: 9, replaceAll: false, puts, deletes: [] });
      await reopen();
      expect(Object.keys(contentOf(store))).toHaveLength(400);
    });

    it('copies what it is given: the caller may reuse its buffers', async () => {
      const value = bytes('before');
      const committed = store.commit({
        ringId: 'r1',
        sequence: 1,
        replaceAll: false,
        puts: [['a', value]],
        deletes: [],
      });
      value.fill(0);
      await committed;
      expect(contentOf(store)).toEqual({ a: 'before' });
    });

    it('counts the bytes it writes', async () => {
      const before = store.writtenBytes;
      await commit(1, { a: 'x'.repeat(10_000) });
      expect(store.writtenBytes - before).toBeGreaterThanOrEqual(10_000);
    });

    it('refuses to commit once it is closed', async () => {
      await store.close();
      await expect(commit(1, { a: '1' })).rejects.toMatchObject({ code: 'CLOSED' });
    });
  });
}
