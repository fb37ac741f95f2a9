import type { Socket as NetSocket } from 'node:net';
import type { Layer, Socket, TlsPeer } from '../network.ts';

/**
 * A socket that has something between TCP and MQTT, from the moment the peer connects. It is closed
 * and counted like any other while its layers are put up, and hands everything on to the innermost
 * one from then on.
 *
 * Invariants:
 * - `onData` is called only after the last layer is up, so what they found out is known by then.
 * - `onClose` is called once.
 */
export class LayeredSocket implements Socket {
  remoteAddress: string;
  remotePort: number;
  tls: TlsPeer | undefined;
  onData: (chunk: Uint8Array) => void = () => undefined;
  onClose: (error: Error | undefined) => void = () => undefined;
  onDrain: () => void = () => undefined;
  /** The layer that is being put up; undefined before the first. */
  layer: Layer | undefined;
  readonly #raw: NetSocket;
  readonly #onFailedHandshake: (remoteAddress: string, layer: Layer, reason: string) => void;
  #inner: Socket | undefined;
  #isPaused = false;
  #isClosed = false;
  #isUnwanted = false;
  #failure: string | undefined;

  constructor(
    raw: NetSocket,
    onFailedHandshake: (remoteAddress: string, layer: Layer, reason: string) => void,
  ) {
    this.#raw = raw;
    this.#onFailedHandshake = onFailedHandshake;
    this.remoteAddress = raw.remoteAddress ?? '';
    this.remotePort = raw.remotePort ?? 0;
    raw.on('error', (error) => {
      this.#failure ??= error.message;
    });
    raw.on('close', () => this.#close(undefined));
  }

  get heldBytes(): number {
    return this.#inner?.heldBytes ?? 0;
  }

  /** Nobody needs the next layer any more. */
  get isClosed(): boolean {
    return this.#isClosed || this.#isUnwanted;
  }

  /** The last layer is up. */
  open(inner: Socket): void {
    if (this.isClosed) {
      inner.destroy();
      return;
    }
    this.#inner = inner;
    inner.onData = (chunk) => this.onData(chunk);
    inner.onDrain = () => this.onDrain();
    inner.onClose = (error) => this.#close(error);
    if (this.#isPaused) inner.pause();
  }

  /** Why the layer cannot be put up; the first reason counts. Whoever says so closes the stream. */
  blame(reason: string): void {
    this.#failure ??= reason;
  }

  /** {@link blame}, and the end. */
  fail(reason: string): void {
    this.blame(reason);
    this.#raw.destroy();
  }

  write(data: Uint8Array, released?: () => void): number {
    if (this.#inner !== undefined) return this.#inner.write(data, released);
    released?.();
    return 0;
  }

  pause(): void {
    this.#isPaused = true;
    this.#inner?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#inner?.resume();
  }

  end(): void {
    if (this.#inner === undefined) {
      this.blame('it took too long');
      this.destroy();
      return;
    }
    this.#inner.end();
  }

  destroy(): void {
    this.#isUnwanted = true;
    if (this.#inner === undefined) this.#raw.destroy();
    else this.#inner.destroy();
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#raw.destroy();
    // One who connects and leaves without a word is a health check or a port scan.
    const hasSpoken = this.#raw.bytesRead > 0;
    if (this.#inner === undefined && this.layer !== undefined && hasSpoken) {
      const { remoteAddress, layer } = this;
      // TLS learns within the event that has led here why the stream was closed, after this.
      queueMicrotask(() => {
        const reason = this.#failure ?? 'the peer closed the connection';
        this.#onFailedHandshake(remoteAddress, layer, reason);
      });
    }
    this.onClose(error);
  }
}
