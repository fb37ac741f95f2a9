import type { Socket as NetSocket } from 'node:net';
import type { RawData, WebSocket } from 'ws';
import type { Socket } from '../network.ts';
import { GOODBYE_TIMEOUT_MS } from './stream-socket.ts';

/** Codes of RFC 6455, section 7.4.1. */
const CLOSE_NORMAL = 1000;
const CLOSE_UNSUPPORTED_DATA = 1003;
/** Of a control frame of a client, before its payload: two of header, four of mask. */
const CONTROL_FRAME_BYTES = 6;

/**
 * An open WebSocket as a stream of bytes: packets may span messages, and a message may hold many
 * [MQTT-6.0.0-2]. `stream` is the connection below it.
 */
export function wrapWebSocket(webSocket: WebSocket, stream: NetSocket): Socket {
  let failure: Error | undefined;
  let isPaused = false;
  let isEnding = false;
  /** What came with a chunk in whose middle the owner asked for a pause; at most one chunk's worth. */
  let inbox: Buffer[] = [];
  /** How far the connection was read when the last message was whole. */
  let wholeBytes = stream.bytesRead;
  const wrapped: Socket = {
    remoteAddress: stream.remoteAddress ?? '',
    remotePort: stream.remotePort ?? 0,
    onData: () => undefined,
    onClose: () => undefined,
    onDrain: () => undefined,
    get heldBytes() {
      return stream.bytesRead - wholeBytes;
    },
    write(data, released) {
      // The library corks header and payload, so that they leave in one system call, and calls back
      // with an error where the connection is closed.
      webSocket.send(data, { binary: true }, () => released?.());
      return stream.writableLength;
    },
    pause() {
      isPaused = true;
      webSocket.pause();
    },
    resume() {
      isPaused = false;
      const waiting = inbox;
      inbox = [];
      deliver(waiting);
      if (!isPaused) webSocket.resume();
    },
    end: () => close(CLOSE_NORMAL),
    destroy: () => webSocket.terminate(),
  };
  /** Says goodbye; a peer that does not answer it is cut. */
  const close = (code: number): void => {
    if (isEnding) return;
    isEnding = true;
    webSocket.close(code);
    setTimeout(() => webSocket.terminate(), GOODBYE_TIMEOUT_MS).unref();
  };
  const controlFrame = (payload: Buffer): void => {
    wholeBytes += CONTROL_FRAME_BYTES + payload.length;
  };
  const deliver = (chunks: readonly Buffer[]): void => {
    for (const chunk of chunks) {
      if (isPaused) inbox.push(chunk);
      else wrapped.onData(chunk);
    }
  };
  webSocket.binaryType = 'fragments';
  webSocket.on('message', (data: RawData, isBinary: boolean) => {
    wholeBytes = stream.bytesRead;
    // [MQTT-6.0.0-1]: only binary frames.
    if (!isBinary) close(CLOSE_UNSUPPORTED_DATA);
    else if (!isEnding) deliver(data as Buffer[]);
  });
  webSocket.on('ping', controlFrame);
  webSocket.on('pong', controlFrame);
  stream.on('drain', () => wrapped.onDrain());
  webSocket.on('error', (error) => {
    failure = error;
    // The library has said why, by a close frame of its own.
    close(CLOSE_NORMAL);
  });
  webSocket.on('close', () => wrapped.onClose(failure));
  return wrapped;
}
