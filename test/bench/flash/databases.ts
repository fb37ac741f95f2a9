import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { ClassicLevel } from 'classic-level';
import { open } from 'lmdb';
import type { Store, StoreKind } from './store.ts';
import type { Message } from './telemetry.ts';
import { versionOf } from './versions.ts';

/**
 * As a program would use them that wants what an ack promises: each commit is one transaction, synced
 * before it returns. Keys are sequence numbers, values topic and payload. Nothing is ever deleted,
 * which is the least that they can write; a bounded queue would have to delete.
 */
export const databases: readonly StoreKind[] = [
  {
    name: 'LMDB',
    describe: () => `lmdb ${versionOf('lmdb')}, synced transactions, append puts`,
    open: (folder) => Promise.resolve(openLmdb(folder)),
  },
  {
    name: 'SQLite',
    describe: () =>
      `SQLite ${process.versions.sqlite ?? '?'}, WAL, synchronous=FULL, pages of 4 KiB`,
    open: (folder) => Promise.resolve(openSqlite(folder)),
  },
  {
    name: 'LevelDB',
    describe: () => `classic-level ${versionOf('classic-level')}, sync batches, Snappy`,
    open: openLevel,
  },
];

function openLmdb(folder: string): Store {
  // Without overlapping syncs a transaction returns after its flush.
  const database = open<Uint8Array, number>({
    path: join(folder, 'lmdb'),
    overlappingSync: false,
    compression: false,
    keyEncoding: 'uint32',
    encoding: 'binary',
    cache: false,
  });
  let sequence = 0;
  return {
    commit(messages) {
      database.transactionSync(() => {
        for (const message of messages) {
          database.putSync(++sequence, Buffer.from(valueOf(message)), { append: true });
        }
      });
      return Promise.resolve();
    },
    close: () => database.close(),
  };
}

function openSqlite(folder: string): Store {
  const database = new DatabaseSync(join(folder, 'messages.sqlite'));
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
  database.exec('CREATE TABLE message (sequence INTEGER PRIMARY KEY, topic TEXT, payload BLOB)');
  const insert = database.prepare('INSERT INTO message (topic, payload) VALUES (?, ?)');
  return {
    commit(messages) {
      database.exec('BEGIN');
      for (const { topic, payload } of messages) insert.run(topic, payload);
      database.exec('COMMIT');
      return Promise.resolve();
    },
    close() {
      database.close();
      return Promise.resolve();
    },
  };
}

async function openLevel(folder: string): Promise<Store> {
  const encodings = { keyEncoding: 'view', valueEncoding: 'view' } as const;
  const database = new ClassicLevel<Uint8Array, Uint8Array>(join(folder, 'level'), encodings);
  await database.open();
  let sequence = 0;
  return {
    commit(messages) {
      const operations = messages.map((message) => {
        const key = Buffer.alloc(8);
        key.writeBigUInt64BE(BigInt(++sequence));
        return { type: 'put' as const, key, value: valueOf(message) };
      });
      return database.batch(operations, { sync: true });
    },
    close: () => database.close(),
  };
}

function valueOf({ topic, payload }: Message): Uint8Array {
  return Buffer.concat([Buffer.from(`${topic}\0`), payload]);
}
