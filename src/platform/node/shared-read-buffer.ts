import { Socket } from 'node:net';

/** As much as libuv reads at once. */
const READ_BYTES = 64 * 1024;

/**
 * Reads all sockets of a process into one buffer. Node makes 64 KiB for each read otherwise: at full
 * load that is over 100 MB a second outside the heap, for which V8 collected all of it 16 times a
 * second (14 % of the broker's core, and 30 % of another for the marking). A receiver has to be done
 * with a chunk when its callback returns, which is what `Socket.onData` promises.
 */
export class SharedReadBuffer {
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES);

  /**
   * A socket over the handle of `accepted`, which came from a server with `pauseOnConnect` and must
   * not be used any more; `onChunk` gets what it reads. Node offers this (`onread`) only to sockets
   * that connect, so the handle changes hands by the fields that Node's own modules use; where a Node
   * version has them no more, the socket is read as usual.
   */
  adopt(accepted: Socket, onChunk: (chunk: Uint8Array) => void): Socket {
    const from: { _handle?: unknown; _server?: unknown } & object = accepted;
    const { _handle: handle, _server: server } = from;
    if (!isReadableHandle(handle)) {
      accepted.on('data', onChunk);
      accepted.resume();
      return accepted;
    }
    from._handle = null;
    from._server = null;
    const buffer = this.#buffer;
    const options: object = {
      handle,
      onread: {
        buffer,
        callback(bytes: number) {
          onChunk(buffer.subarray(0, bytes));
          return true;
        },
      },
    };
    const socket = new Socket(options);
    // So that the server knows when its last connection has ended.
    Object.assign(socket, { _server: server });
    return socket;
  }
}

function isReadableHandle(handle: unknown): boolean {
  return typeof handle === 'object' && handle !== null && 'useUserBuffer' in handle;
}
