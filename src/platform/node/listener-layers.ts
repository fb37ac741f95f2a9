import type { Socket as NetSocket } from 'node:net';
import type { ListenerTls, ListenOptions, Socket } from '../network.ts';
import { LayeredSocket } from './layered-socket.ts';
import { parseProxyHeader } from './proxy-header.ts';
import { wrapStream } from './stream-socket.ts';
import { TlsLayer } from './tls-layer.ts';
import { WebSocketLayer } from './websocket-layer.ts';

/** What one listener has between TCP and MQTT: a PROXY header, TLS, WebSocket, in this order. */
export class ListenerLayers {
  readonly #options: ListenOptions;
  readonly #tls: TlsLayer | undefined;
  readonly #webSocket: WebSocketLayer | undefined;

  /** Undefined where there is nothing in between. Fails with TLS_UNUSABLE. */
  static async create(options: ListenOptions): Promise<ListenerLayers | undefined> {
    const { proxyProtocol, tls, webSocket } = options;
    if (proxyProtocol !== true && tls === undefined && webSocket === undefined) return undefined;
    return new ListenerLayers(options, tls && (await TlsLayer.create(tls)));
  }

  private constructor(options: ListenOptions, tls: TlsLayer | undefined) {
    this.#options = options;
    this.#tls = tls;
    this.#webSocket = options.webSocket && new WebSocketLayer(options.webSocket);
  }

  get tls(): ListenerTls | undefined {
    return this.#tls;
  }

  /** Hands a socket over at once, then puts up its layers. */
  accept(raw: NetSocket, onSocket: (socket: Socket) => void): void {
    const { proxyProtocol, onFailedHandshake } = this.#options;
    const socket = new LayeredSocket(raw, onFailedHandshake ?? (() => undefined));
    onSocket(socket);
    // It may be one too many.
    if (socket.isClosed) return;
    if (proxyProtocol === true) readProxyHeader(raw, socket, () => this.#addTls(raw, socket));
    else this.#addTls(raw, socket);
  }

  #addTls(raw: NetSocket, socket: LayeredSocket): void {
    if (this.#tls === undefined) this.#addWebSocket(raw, socket);
    else this.#tls.upgrade(raw, socket, (stream) => this.#addWebSocket(stream, socket));
  }

  #addWebSocket(stream: NetSocket, socket: LayeredSocket): void {
    if (this.#webSocket !== undefined) {
      this.#webSocket.upgrade(stream, socket);
      return;
    }
    // The header's reader has stopped it; the socket's owner may have asked for a pause.
    stream.resume();
    socket.open(wrapStream(stream));
  }
}

/** Takes the header off, and puts back what was read beyond it. */
function readProxyHeader(raw: NetSocket, socket: LayeredSocket, onHeader: () => void): void {
  socket.layer = 'proxy';
  let received: Buffer = Buffer.alloc(0);
  const onData = (chunk: Buffer): void => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    const header = parseProxyHeader(received);
    if (header.kind === 'incomplete') return;
    raw.off('data', onData);
    if (header.kind === 'invalid') {
      socket.fail(header.reason);
      return;
    }
    if (header.client !== undefined) {
      socket.remoteAddress = header.client.address;
      socket.remotePort = header.client.port;
    }
    raw.pause();
    const rest = received.subarray(header.bytes);
    if (rest.length > 0) raw.unshift(rest);
    onHeader();
  };
  raw.on('data', onData);
}
