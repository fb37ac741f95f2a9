import { mkdir, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { dirname, resolve as resolvePath } from 'node:path';
import { CisternError } from '../../base/errors.ts';

export interface DataLock {
  /** Lets the next process in. */
  release(): Promise<void>;
}

/** How long the holder may take to say who it is; it may be stopped in a debugger. */
const ANSWER_TIMEOUT_MS = 1_000;

/**
 * Makes the data directory if need be and takes it for this process. Fails with DATA_IN_USE, naming
 * the other process where it answers, or DATA_UNWRITABLE.
 *
 * Node has no `flock`, and a file with a pid in it outlives `kill -9` and a power cut and then names
 * a stranger. So the lock is a Unix socket in Linux's abstract namespace, named by the directory's
 * device and inode: binding it is atomic, the kernel frees it when the process dies however it dies,
 * and two paths to one directory are one lock. The holder answers a connection with its pid.
 *
 * Abstract names are per network namespace: two containers that share a volume do not see each other.
 */
export async function acquireDataLock(directory: string): Promise<DataLock> {
  const name = await lockName(directory);
  const server = createServer((socket) => {
    // One who asks and goes away before the answer does not concern the holder.
    socket.on('error', () => socket.destroy());
    socket.end(`${process.pid}`);
  });
  try {
    await bind(server, name);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE')
      throw unusableDirectory(directory, cause);
    const pid = await askHolder(name);
    const holder = pid === undefined ? 'another process' : `process ${pid}`;
    throw new CisternError('DATA_IN_USE', `The data in ${directory} is in use by ${holder}.`, {
      cause,
      remedy: 'Stop that process, or give this one a directory of its own with --data.',
    });
  }
  // The lock alone is no reason to stay alive.
  server.unref();
  return {
    release: () => new Promise((resolve) => void server.close(() => resolve())),
  };
}

async function lockName(directory: string): Promise<string> {
  try {
    await makeDirectory(resolvePath(directory));
    const found = await stat(directory, { bigint: true });
    if (!found.isDirectory()) throw new Error('it is a file');
    const { dev, ino } = found;
    return `\0cistern-data-${dev}-${ino}`;
  } catch (cause) {
    throw unusableDirectory(directory, cause);
  }
}

/**
 * With the directories above it. Node's own `recursive` never returns where a directory exists in
 * which none can be made and the kernel says so with ENOENT, as in `/proc`.
 */
async function makeDirectory(path: string): Promise<void> {
  const above = dirname(path);
  try {
    await stat(above);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === path) throw error;
    await makeDirectory(above);
  }
  try {
    await mkdir(path, { mode: 0o750 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** What a start says, and `check` before it. */
export function unusableDirectory(directory: string, cause: unknown): CisternError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CisternError(
    'DATA_UNWRITABLE',
    `The data directory ${directory} cannot be used: ${reason}.`,
    { cause, remedy: 'Choose one that this user may write to, with --data or storage.path.' },
  );
}

function bind(server: Server, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(name, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** The pid that the holder of the lock tells; undefined where it does not answer in time. */
function askHolder(name: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(name);
    const done = (): void => {
      socket.destroy();
      resolve(/^\d+$/.test(answer) ? Number(answer) : undefined);
    };
    socket.setEncoding('utf8').setTimeout(ANSWER_TIMEOUT_MS);
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.on('end', done).on('timeout', done).on('error', done);
  });
}
