import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { Socket as NetSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Socket, WebSocketOptions } from '../network.ts';
import type { LayeredSocket } from './layered-socket.ts';
import { wrapWebSocket } from './websocket-socket.ts';

const MAX_HEADER_BYTES = 8 * 1024;
/** As [MQTT5 6] has it, then the name that clients of 3.1 use. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1'];

/** WebSocket on one listener: answers the HTTP request that asks for it, on a plain or TLS stream. */
export class WebSocketLayer {
  readonly #path: string;
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  /** Streams that have not asked yet. */
  readonly #asking = new WeakMap<Duplex, LayeredSocket>();

  constructor(options: WebSocketOptions) {
    this.#path = options.path;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: options.maxMessageBytes,
      handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
    });
    this.#http = createServer({ maxHeaderSize: MAX_HEADER_BYTES });
    this.#http.on('request', (request, response) => {
      const { status, text, headers } = this.#refusal(request) ?? UPGRADE_REQUIRED;
      this.#asking.get(request.socket)?.blame(text);
      response.writeHead(status, { ...headers, ...answerHeaders(text) });
      response.end(`${text}\n`);
    });
    this.#http.on('upgrade', (request, stream, head) => this.#upgrade(request, stream, head));
    this.#http.on('clientError', (error: NodeJS.ErrnoException, stream) => {
      this.#asking.get(stream)?.blame('the peer does not speak HTTP');
      const isTooLong = error.code === 'HPE_HEADER_OVERFLOW';
      refuse(stream, isTooLong ? HEADERS_TOO_LONG : BAD_REQUEST);
    });
  }

  /** Waits for the request; bytes that `stream` has read already are part of it. */
  upgrade(stream: NetSocket, socket: LayeredSocket): void {
    socket.layer = 'websocket';
    this.#asking.set(stream, socket);
    this.#http.emit('connection', stream);
    stream.resume();
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const socket = this.#asking.get(stream);
    const refusal = this.#refusal(request) ?? subprotocolRefusal(request);
    if (refusal !== undefined || socket === undefined) {
      const answer = refusal ?? BAD_REQUEST;
      socket?.blame(answer.text);
      refuse(stream, answer);
      return;
    }
    this.#asking.delete(stream);
    // What else may be wrong with the request is answered by the library.
    this.#webSockets.handleUpgrade(request, stream, head, (webSocket: WebSocket) => {
      const inner: Socket = wrapWebSocket(webSocket, request.socket);
      socket.open(inner);
    });
  }

  #refusal(request: IncomingMessage): Answer | undefined {
    const path = (request.url ?? '').split('?', 1)[0];
    return path === this.#path ? undefined : NOT_FOUND;
  }
}

interface Answer {
  readonly status: number;
  readonly phrase: string;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const BAD_REQUEST: Answer = { status: 400, phrase: 'Bad Request', text: 'This is not HTTP.' };
const HEADERS_TOO_LONG: Answer = {
  status: 431,
  phrase: 'Request Header Fields Too Large',
  text: 'The request is too long.',
};
const NOT_FOUND: Answer = {
  status: 404,
  phrase: 'Not Found',
  text: 'There is no WebSocket at this path.',
};
const UPGRADE_REQUIRED: Answer = {
  status: 426,
  phrase: 'Upgrade Required',
  text: 'Here is MQTT over WebSocket, and nothing else.',
  headers: { upgrade: 'websocket' },
};
const NO_SUBPROTOCOL: Answer = {
  status: 400,
  phrase: 'Bad Request',
  text: 'The WebSocket subprotocol "mqtt" is not among those offered.',
};

/** [MQTT-6.0.0-3]: the client offers "mqtt" among its subprotocols. */
function subprotocolRefusal(request: IncomingMessage): Answer | undefined {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',');
  const isKnown = offered.some((name) => SUBPROTOCOLS.includes(name.trim()));
  return isKnown ? undefined : NO_SUBPROTOCOL;
}

function answerHeaders(text: string): Readonly<Record<string, string>> {
  return {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': `${Buffer.byteLength(text) + 1}`,
    // The next request on this connection would have a time of its own to come in.
    connection: 'close',
  };
}

function refuse(stream: Duplex, { status, phrase, text, headers }: Answer): void {
  const lines = Object.entries({ ...headers, ...answerHeaders(text) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  stream.end(`HTTP/1.1 ${status} ${phrase}\r\n${head}\r\n${text}\n`);
}
