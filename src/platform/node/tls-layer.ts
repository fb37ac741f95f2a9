import type { Socket as NetSocket } from 'node:net';
import { createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import { CisternError } from '../../base/errors.ts';
import type { ListenerTls, TlsOptions } from '../network.ts';
import { userNameOf } from './certificate-name.ts';
import type { LayeredSocket } from './layered-socket.ts';
import { readTlsFiles, type TlsMaterial } from './tls-files.ts';

/** A peer that has not finished its handshake by then is cut off. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

interface Handshake {
  readonly socket: LayeredSocket;
  readonly onSecure: (stream: TLSSocket) => void;
}

/** TLS on one listener: makes a TLS stream of a plain one, and knows the certificate in use. */
export class TlsLayer implements ListenerTls {
  readonly #options: TlsOptions;
  readonly #server: Server;
  readonly #handshakes = new Map<string, Handshake>();
  /**
   * The one whose plain stream says just now that it is closed. Node refuses a certificate by closing,
   * and says so from within that event, of a TLS stream that has no name any more.
   */
  #closing: Handshake | undefined;
  #endsMs: number;

  /** Fails with TLS_UNUSABLE. */
  static async create(options: TlsOptions): Promise<TlsLayer> {
    return new TlsLayer(options, await readMaterial(options));
  }

  private constructor(options: TlsOptions, material: TlsMaterial) {
    this.#options = options;
    this.#endsMs = material.endsMs;
    this.#server = createServer({
      ...secureContext(options, material),
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      requestCert: options.ca !== undefined,
      rejectUnauthorized: options.requireClientCert,
    });
    this.#server.on('secureConnection', (stream: TLSSocket) => this.#secured(stream));
    this.#server.on('tlsClientError', (error: Error, stream: TLSSocket) => {
      const handshake = this.#handshakeOf(stream) ?? this.#closing;
      const { authorizationError } = stream;
      handshake?.socket.blame(authorizationError ? refused(authorizationError) : describe(error));
      stream.destroy();
    });
  }

  get certificateEndsMs(): number {
    return this.#endsMs;
  }

  async reload(): Promise<void> {
    const material = await readMaterial(this.#options);
    const nowMs = Date.now();
    if (material.endsMs <= nowMs && this.#endsMs > nowMs) {
      throw unusable(`${this.#options.cert} has already ended, and the one in use has not`);
    }
    this.#server.setSecureContext(secureContext(this.#options, material));
    this.#endsMs = material.endsMs;
  }

  /**
   * Begins the handshake; bytes that `raw` has read already are part of it. `onSecure` is called once
   * the peer has proved what it must. If it does not, `raw` is destroyed.
   */
  upgrade(raw: NetSocket, socket: LayeredSocket, onSecure: (stream: TLSSocket) => void): void {
    socket.layer = 'tls';
    const name = nameOf(raw);
    if (name === undefined) {
      raw.destroy();
      return;
    }
    const handshake = { socket, onSecure };
    this.#handshakes.set(name, handshake);
    raw.once('close', () => this.#closed(name, handshake));
    this.#server.emit('connection', raw);
  }

  /** Node makes the TLS stream itself and does not say of which plain one. */
  #handshakeOf(stream: TLSSocket): Handshake | undefined {
    const name = nameOf(stream);
    return name === undefined ? undefined : this.#handshakes.get(name);
  }

  #closed(name: string, handshake: Handshake): void {
    if (this.#handshakes.get(name) === handshake) this.#closing = handshake;
    this.#forget(name, handshake);
    queueMicrotask(() => {
      if (this.#closing === handshake) this.#closing = undefined;
    });
  }

  #forget(name: string | undefined, handshake: Handshake): void {
    if (name !== undefined && this.#handshakes.get(name) === handshake) {
      this.#handshakes.delete(name);
    }
  }

  #secured(stream: TLSSocket): void {
    const handshake = this.#handshakeOf(stream);
    if (handshake === undefined) {
      stream.destroy();
      return;
    }
    this.#forget(nameOf(stream), handshake);
    const { socket, onSecure } = handshake;
    const refusal = this.#identify(stream, socket);
    if (refusal === undefined) {
      onSecure(stream);
      return;
    }
    socket.blame(refusal);
    stream.destroy();
  }

  /** Notes who the peer is, or says why it is not let in. */
  #identify(stream: TLSSocket, socket: LayeredSocket): string | undefined {
    const { ca, userNameFrom } = this.#options;
    const certificate = ca === undefined ? undefined : stream.getPeerCertificate();
    // Without a certificate Node gives an object without a subject.
    const isShown = certificate?.subject !== undefined;
    if (!isShown || certificate === undefined) {
      socket.tls = { userName: undefined };
      return undefined;
    }
    if (!stream.authorized) return refused(stream.authorizationError);
    const userName = userNameFrom && userNameOf(certificate, userNameFrom);
    if (userNameFrom !== undefined && userName === undefined) {
      return `the client's certificate has no ${userNameFrom.toUpperCase()} for a user name`;
    }
    socket.tls = { userName };
    return undefined;
  }
}

/** `fault` is OpenSSL's name of it. */
function refused(fault: unknown): string {
  return `the client's certificate is refused: ${String(fault)}`;
}

/**
 * Names a TCP connection, as the kernel does: no two that are open have the same addresses and ports
 * at both ends, and the local port is the listener's. Undefined once the peer has reset it.
 */
function nameOf(stream: NetSocket): string | undefined {
  const { remoteAddress, remotePort, localAddress } = stream;
  return remoteAddress === undefined ? undefined : `${remoteAddress} ${remotePort} ${localAddress}`;
}

function secureContext(options: TlsOptions, material: TlsMaterial): SecureContextOptions {
  const { cert, key, ca } = material;
  return {
    cert,
    key,
    ...(ca === undefined ? {} : { ca }),
    minVersion: `TLSv${options.minVersion}`,
  };
}

async function readMaterial(options: TlsOptions): Promise<TlsMaterial> {
  const { material, problems } = await readTlsFiles(options, Date.now());
  if (material !== undefined) return material;
  const [first] = problems;
  throw unusable(first?.message ?? 'the files cannot be used', first?.remedy);
}

function unusable(message: string, remedy?: string): CisternError {
  return new CisternError('TLS_UNUSABLE', `${message}.`, remedy === undefined ? {} : { remedy });
}

/** In the words of the field; OpenSSL's own name of the fault where there are none. */
function describe(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  const known: Readonly<Record<string, string>> = {
    ECONNRESET: 'the peer closed the connection',
    ERR_TLS_HANDSHAKE_TIMEOUT: 'it took too long',
    ERR_SSL_HTTP_REQUEST: 'the peer speaks HTTP without TLS',
    ERR_SSL_WRONG_VERSION_NUMBER: 'the peer does not speak TLS',
    ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'the client shows no certificate',
    ERR_SSL_UNSUPPORTED_PROTOCOL: 'the peer speaks only a TLS version that is too old',
  };
  return known[code ?? ''] ?? code ?? error.message;
}
