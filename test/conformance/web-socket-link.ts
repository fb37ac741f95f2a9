import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { WebSocketLink } from './transport.ts';

const CLOSE = 8;

/**
 * The client side of RFC 6455, as much of it as scenarios need: it is written out here, so that a
 * mistake in the library that the broker uses cannot hide on both sides.
 */
export class TcpWebSocketLink implements WebSocketLink {
  readonly status: number;
  readonly subprotocol: string | undefined;
  readonly opcodes: number[] = [];
  closed = false;
  readonly #socket: Socket;
  #undecoded: Buffer;
  #received: Uint8Array[] = [];

  private constructor(socket: Socket, head: string, rest: Buffer) {
    this.#socket = socket;
    this.status = Number(head.split(' ')[1]);
    this.subprotocol = /^sec-websocket-protocol: *(.*)$/im.exec(head)?.[1]?.trim();
    this.#undecoded = rest;
    this.#decode();
    socket.on('data', (chunk) => {
      this.#undecoded = Buffer.concat([this.#undecoded, chunk]);
      this.#decode();
    });
    socket.on('close', () => {
      this.closed = true;
    });
  }

  static async open(port: number, subprotocols: readonly string[]): Promise<TcpWebSocketLink> {
    const socket = connect(port, '127.0.0.1');
    // The close that follows is what a scenario asks about.
    socket.on('error', () => undefined);
    socket.write(
      [
        'GET /mqtt HTTP/1.1',
        'Host: localhost',
        'Upgrade: websocket',
        'Connection: Upgrade',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        'Sec-WebSocket-Version: 13',
        ...(subprotocols.length > 0 ? [`Sec-WebSocket-Protocol: ${subprotocols.join(', ')}`] : []),
        '\r\n',
      ].join('\r\n'),
    );
    const { head, rest } = await answerOf(socket);
    return new TcpWebSocketLink(socket, head, rest);
  }

  send(bytes: Uint8Array): void {
    this.sendFrame(2, bytes);
  }

  sendFrame(opcode: number, payload: Uint8Array, isLast = true): void {
    if (this.closed) return;
    const mask = randomBytes(4);
    const masked = Buffer.from(payload).map((byte, i) => byte ^ (mask[i % 4] as number));
    const first = opcode | (isLast ? 0x80 : 0);
    const length =
      payload.length < 126
        ? [0x80 | payload.length]
        : [0x80 | 126, payload.length >> 8, payload.length & 0xff];
    this.#socket.write(Buffer.concat([Buffer.from([first, ...length]), mask, masked]));
  }

  drop(): void {
    this.#socket.destroy();
  }

  take(): Uint8Array {
    return Buffer.concat(this.#received.splice(0));
  }

  /** Frames of a server are not masked; those of these scenarios are below 64 KiB. */
  #decode(): void {
    for (;;) {
      const buffer = this.#undecoded;
      if (buffer.length < 2) return;
      const short = (buffer[1] as number) & 0x7f;
      const start = short === 126 ? 4 : 2;
      if (buffer.length < start) return;
      const end = start + (short === 126 ? buffer.readUInt16BE(2) : short);
      if (buffer.length < end) return;
      const opcode = (buffer[0] as number) & 0x0f;
      this.opcodes.push(opcode);
      if (opcode < CLOSE) this.#received.push(buffer.subarray(start, end));
      // Whoever is told good-bye says it too; then the server closes.
      if (opcode === CLOSE) this.sendFrame(CLOSE, buffer.subarray(start, end));
      this.#undecoded = buffer.subarray(end);
    }
  }
}

function answerOf(socket: Socket): Promise<{ head: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf('\r\n\r\n');
      if (end === -1) return;
      socket.off('data', onData);
      resolve({ head: received.toString('latin1', 0, end), rest: received.subarray(end + 4) });
    };
    socket.on('data', onData);
    socket.once('close', () => reject(new Error('closed before an HTTP answer came')));
  });
}
