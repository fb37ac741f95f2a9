import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { acquireDataLock } from '../../../../src/platform/node/lock.ts';

let directory: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cistern-lock-'));
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(directory, { recursive: true });
});

/** Another process that holds the lock, once this resolves. */
async function holdElsewhere(path: string): Promise<ChildProcess> {
  const lock = join(import.meta.dirname, '../../../../src/platform/node/lock.ts');
  const script = `
    import { acquireDataLock } from ${JSON.stringify(lock)};
    await acquireDataLock(${JSON.stringify(path)});
    console.log('held');
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

test('a second process is refused, by the pid of the first', async () => {
  const holder = await holdElsewhere(directory);
  await expect(acquireDataLock(directory)).rejects.toMatchObject({
    code: 'DATA_IN_USE',
    message: `The data in ${directory} is in use by process ${holder.pid}.`,
    remedy: expect.stringContaining('--data'),
  });
});

test('kill -9 frees it at once', async () => {
  const holder = await holdElsewhere(directory);
  const exit = once(holder, 'exit');
  holder.kill('SIGKILL');
  await exit;
  await expect(acquireDataLock(directory).then((lock) => lock.release())).resolves.toBeUndefined();
});

test('a holder that is stopped still holds, though it cannot say who it is', async () => {
  const holder = await holdElsewhere(directory);
  holder.kill('SIGSTOP');
  await expect(acquireDataLock(directory)).rejects.toMatchObject({
    code: 'DATA_IN_USE',
    message: `The data in ${directory} is in use by another process.`,
  });
});

test('another path to the same directory is the same lock, another directory is not', async () => {
  const lock = await acquireDataLock(join(directory, 'data'));
  await symlink(join(directory, 'data'), join(directory, 'link'));
  await expect(acquireDataLock(join(directory, 'link'))).rejects.toMatchObject({
    code: 'DATA_IN_USE',
  });
  const other = await acquireDataLock(join(directory, 'other'));
  await other.release();
  await lock.release();
});

test('release lets the next one in', async () => {
  const first = await acquireDataLock(directory);
  await first.release();
  await expect(acquireDataLock(directory).then((lock) => lock.release())).resolves.toBeUndefined();
});

// Below /proc none can be made, and the kernel answers ENOENT.
test.each(['/dev/null/data', '/proc/nowhere', '/proc/nowhere/data'])(
  '%s cannot be a directory and is refused with what to do',
  async (path) => {
    await expect(acquireDataLock(path)).rejects.toMatchObject({
      code: 'DATA_UNWRITABLE',
      remedy: expect.stringContaining('storage.path'),
    });
  },
);

test('a file is no data directory', async () => {
  const path = join(directory, 'file');
  await writeFile(path, '');
  await expect(acquireDataLock(path)).rejects.toMatchObject({ code: 'DATA_UNWRITABLE' });
});
