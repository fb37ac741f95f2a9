// Shared by all who have taken nothing, and never added to.
const NONE = new Set<number>();

/**
 * The receiving half of QoS 2: packet identifiers of messages taken and not yet released. While an
 * identifier is here a PUBLISH with it is a repeat and must not be delivered again [MQTT-4.3.3-10].
 */
export class Receipts {
  #open = NONE;

  constructor(open: Iterable<number> = []) {
    for (const packetId of open) this.take(packetId);
  }

  /** The identifiers that wait for their PUBREL. */
  open(): IterableIterator<number> {
    return this.#open.values();
  }

  get size(): number {
    return this.#open.size;
  }

  /** Whether a PUBLISH with this identifier would be a repeat. */
  has(packetId: number): boolean {
    return this.#open.has(packetId);
  }

  /** PUBLISH with QoS 2: true when the message is new, false when it is a repeat. */
  take(packetId: number): boolean {
    if (this.#open.has(packetId)) return false;
    if (this.#open === NONE) this.#open = new Set();
    this.#open.add(packetId);
    return true;
  }

  /** PUBREL: true when the identifier was open. */
  release(packetId: number): boolean {
    return this.#open.delete(packetId);
  }
}
