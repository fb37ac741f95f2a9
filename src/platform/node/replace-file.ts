import { open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Only its owner may read a file that is made. */
const NEW_FILE_MODE = 0o600;

/**
 * Puts `text` in the place of a file, whole or not at all: whoever reads it meanwhile sees the old
 * text or the new one, and after a power cut one of both is there. Owner and mode stay as they were; a
 * new file is its maker's alone. A link stays a link. Fails with the system's error.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const target = await targetOf(path);
  const before = await statOf(target);
  const temporary = join(dirname(target), `.${basename(target)}.new`);
  // One left behind by a run that was cut may belong to somebody else, or be open to everybody.
  await rm(temporary, { force: true });
  const file = await open(temporary, 'wx', NEW_FILE_MODE);
  try {
    if (before !== undefined) {
      if (before.uid !== process.getuid?.() || before.gid !== process.getgid?.()) {
        await file.chown(before.uid, before.gid);
      }
      await file.chmod(before.mode & 0o7777);
    }
    await file.writeFile(text);
    await file.sync();
    await file.close();
    await rename(temporary, target);
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  const directory = await open(dirname(target));
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function targetOf(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return path;
    throw error;
  }
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
