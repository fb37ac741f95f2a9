import type { Socket as NetSocket } from 'node:net';
import type { Socket } from '../network.ts';
import { SharedReadBuffer } from './shared-read-buffer.ts';

/** How long a peer may take to read what was queued before its goodbye, before the socket is cut. */
export const GOODBYE_TIMEOUT_MS = 2_000;

const owner = Symbol('owner');

/** A stream that knows whom to tell, so that one function serves all of them as a listener. */
interface OwnedStream extends NetSocket {
  [owner]?: StreamSocket;
}

/**
 * A stream of Node, plain or TLS, as the broker sees it. With `reads`, `accepted` is a plain one that
 * nobody has read from, and must not be used any more.
 */
export function wrapStream(accepted: NetSocket, reads?: SharedReadBuffer): Socket {
  return new StreamSocket(reads?.adopt(accepted) ?? accepted, reads === undefined);
}

/** For all plain sockets of a process. */
export function sharedReads(): SharedReadBuffer {
  return new SharedReadBuffer(handOver);
}

// An object and no closures: those that would do instead are half a kilobyte for each of thousands of
// idle connections.
class StreamSocket implements Socket {
  readonly remoteAddress: string;
  readonly remotePort: number;
  onData: (chunk: Uint8Array) => void = nothing;
  onClose: (error: Error | undefined) => void = nothing;
  onDrain: () => void = nothing;
  failure: Error | undefined;
  readonly #stream: OwnedStream;

  constructor(stream: OwnedStream, emitsData: boolean) {
    this.#stream = stream;
    this.remoteAddress = stream.remoteAddress ?? '';
    this.remotePort = stream.remotePort ?? 0;
    stream[owner] = this;
    if (emitsData) stream.on('data', handOver);
    stream.on('drain', drained);
    stream.on('error', failed);
    stream.on('close', closed);
  }

  write(data: Uint8Array, released?: () => void): number {
    const stream = this.#stream;
    if (stream.destroyed || stream.writableEnded) released?.();
    else stream.write(data, released && (() => released()));
    return stream.writableLength;
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    const stream = this.#stream;
    stream.end();
    setTimeout(() => stream.destroy(), GOODBYE_TIMEOUT_MS).unref();
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

function handOver(this: OwnedStream, chunk: Uint8Array): void {
  this[owner]?.onData(chunk);
}

function drained(this: OwnedStream): void {
  this[owner]?.onDrain();
}

function failed(this: OwnedStream, error: Error): void {
  const socket = this[owner];
  if (socket !== undefined) socket.failure = error;
}

function closed(this: OwnedStream): void {
  const socket = this[owner];
  socket?.onClose(socket.failure);
}

function nothing(): void {
  // Until the owner has set its own.
}
