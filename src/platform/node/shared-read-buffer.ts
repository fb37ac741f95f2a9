import { Socket } from 'node:net';

/** As much as libuv reads at once. */
const READ_BYTES = 64 * 1024;

type OnChunk = (this: Socket, chunk: Uint8Array) => void;

/**
 * Reads all sockets of a process into one buffer. Node makes 64 KiB for each read otherwise: at full
 * load that is over 100 MB a second outside the heap, for which V8 collected all of it 16 times a
 * second (14 % of the broker's core, and 30 % of another for the marking). A receiver has to be done
 * with a chunk when its callback returns, which is what `Socket.onData` promises.
 */
export class SharedReadBuffer {
  readonly #onChunk: OnChunk;
  readonly #onRead: object;

  /** `onChunk` is called with the socket as `this`. */
  constructor(onChunk: OnChunk) {
    this.#onChunk = onChunk;
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    this.#onRead = { buffer, callback: readInto(buffer, onChunk) };
  }

  /**
   * A socket over the handle of `accepted`, which came from a server with `pauseOnConnect` and must
   * not be used any more. Node offers this (`onread`) only to sockets that connect, so the handle
   * changes hands by the fields that Node's own modules use; where a Node version has them no more,
   * the socket is read as usual.
   */
  adopt(accepted: Socket): Socket {
    const from: { _handle?: unknown; _server?: unknown } & object = accepted;
    const { _handle: handle, _server: server } = from;
    if (!isReadableHandle(handle)) {
      accepted.on('data', this.#onChunk);
      accepted.resume();
      return accepted;
    }
    const options: object = { handle, onread: this.#onRead };
    from._handle = null;
    from._server = null;
    const socket = new Socket(options);
    // So that the server knows when its last connection has ended.
    Object.assign(socket, { _server: server });
    return socket;
  }
}

/** Node calls it with the socket as `this`. */
function readInto(buffer: Uint8Array, onChunk: OnChunk): (this: Socket, bytes: number) => boolean {
  return function hand(bytes) {
    onChunk.call(this, buffer.subarray(0, bytes));
    return true;
  };
}

function isReadableHandle(handle: unknown): boolean {
  return typeof handle === 'object' && handle !== null && 'useUserBuffer' in handle;
}
