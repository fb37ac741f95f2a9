import { stat } from 'node:fs/promises';

/**
 * Differs once any of the files was written, replaced or removed, or a link on the way to it leads
 * elsewhere. Polling this sees what `fs.watch` misses: a rename over the file, a mount, a network
 * file system.
 */
export async function stampFiles(paths: readonly string[]): Promise<string> {
  return (await Promise.all(paths.map(stampOf))).join(' ');
}

async function stampOf(path: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path);
    return `${dev}:${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch (error) {
    // Whoever reads the file says what is wrong with it.
    return (error as NodeJS.ErrnoException).code ?? 'unreadable';
  }
}
