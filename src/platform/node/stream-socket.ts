import type { Socket as NetSocket } from 'node:net';
import type { Socket } from '../network.ts';
import type { SharedReadBuffer } from './shared-read-buffer.ts';

/** How long a peer may take to read what was queued before its goodbye, before the socket is cut. */
export const GOODBYE_TIMEOUT_MS = 2_000;

/**
 * A stream of Node, plain or TLS, as the broker sees it. With `reads`, `accepted` is a plain one that
 * nobody has read from, and must not be used any more.
 */
export function wrapStream(accepted: NetSocket, reads?: SharedReadBuffer): Socket {
  let failure: Error | undefined;
  const stream = reads?.adopt(accepted, (chunk) => wrapped.onData(chunk)) ?? accepted;
  const wrapped: Socket = {
    remoteAddress: stream.remoteAddress ?? '',
    remotePort: stream.remotePort ?? 0,
    onData: () => undefined,
    onClose: () => undefined,
    onDrain: () => undefined,
    write(data, released) {
      if (stream.destroyed || stream.writableEnded) released?.();
      else stream.write(data, released && (() => released()));
      return stream.writableLength;
    },
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    end() {
      stream.end();
      setTimeout(() => stream.destroy(), GOODBYE_TIMEOUT_MS).unref();
    },
    destroy: () => void stream.destroy(),
  };
  if (reads === undefined) stream.on('data', (chunk: Buffer) => wrapped.onData(chunk));
  stream.on('drain', () => wrapped.onDrain());
  stream.on('error', (error) => {
    failure = error;
  });
  stream.on('close', () => wrapped.onClose(failure));
  return wrapped;
}
