/**
 * A broker that does nothing but answer: no sessions, no wildcard but a `+` at the end, nothing stored. What the load
 * reaches against it is the ceiling of the load itself on this machine, so that a figure near it is
 * known to be the generator's and not the broker's. `node test/bench/null-broker.ts PORT`
 */
import net from 'node:net';
import { encodeControl } from '../../src/codec/control-encoder.ts';
import type { ControlPacket } from '../../src/codec/control-packet.ts';
import { PacketType } from '../../src/codec/control-packet.ts';
import { PacketDecoder, type PublishView } from '../../src/codec/packet-decoder.ts';
import { publishSize, writeAck, writePublish } from '../../src/codec/publish-encoder.ts';

const OUTPUT_BYTES = 256 * 1024;
const READ_BUFFER_BYTES = 256 * 1024;
const noProperties = new Uint8Array(0);

/** One connection: what it has to send is gathered, and written once a turn. */
class Peer {
  readonly #socket: net.Socket;
  #output = Buffer.allocUnsafe(OUTPUT_BYTES);
  #start = 0;
  #end = 0;
  #nextId = 1;

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  control(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#output.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  ack(packetId: number): void {
    this.#reserve(4);
    this.#end = writeAck(this.#output, this.#end, PacketType.puback, packetId);
  }

  deliver(topic: Uint8Array, qos: 0 | 1, payload: Uint8Array): void {
    this.#reserve(publishSize(4, topic.length, qos, 0, payload.length));
    const id = qos === 0 ? 0 : this.#nextId;
    if (qos === 1) this.#nextId = this.#nextId === 0xffff ? 1 : this.#nextId + 1;
    const { length } = this.#output;
    if (this.#end >= length) throw new Error('no room was reserved');
    this.#end = writePublish(
      this.#output,
      this.#end,
      4,
      topic,
      qos,
      false,
      false,
      id,
      noProperties,
      payload,
    );
  }

  flush(): void {
    if (this.#end === this.#start) return;
    this.#socket.write(this.#output.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#output.length) return;
    this.flush();
    this.#output = Buffer.allocUnsafe(Math.max(OUTPUT_BYTES, bytes));
    this.#start = 0;
    this.#end = 0;
  }
}

/** By topic filter. */
const subscribersByFilter = new Map<string, Map<Peer, 0 | 1>>();

function control(peer: Peer, packet: ControlPacket): void {
  switch (packet.type) {
    case 'connect':
      peer.control(encodeControl({ type: 'connack', sessionPresent: false, reasonCode: 0 }, 4));
      break;
    case 'subscribe':
      for (const { filter, qos } of packet.subscriptions) {
        const subscribers = subscribersByFilter.get(filter) ?? new Map<Peer, 0 | 1>();
        subscribersByFilter.set(filter, subscribers.set(peer, qos === 0 ? 0 : 1));
      }
      peer.control(
        encodeControl({ type: 'suback', packetId: packet.packetId, reasonCodes: [0] }, 4),
      );
      break;
    case 'pingreq':
      peer.control(encodeControl({ type: 'pingresp' }, 4));
      break;
    default:
      break;
  }
}

function publish(peer: Peer, view: PublishView): void {
  if (view.qos === 1) peer.ack(view.packetId);
  if (subscribersByFilter.size === 0) return;
  const topic = view.buffer.subarray(view.topicStart, view.topicEnd);
  const name = Buffer.from(topic).toString();
  const subscribers =
    subscribersByFilter.get(name) ??
    subscribersByFilter.get(`${name.slice(0, name.lastIndexOf('/'))}/+`);
  if (subscribers === undefined) return;
  const payload = view.buffer.subarray(view.payloadStart, view.payloadEnd);
  for (const [subscriber, qos] of subscribers) {
    subscriber.deliver(topic, view.qos === 0 ? 0 : qos, payload);
  }
}

function accept(socket: net.Socket): void {
  const peer = new Peer(socket);
  const decoder = new PacketDecoder({ maxPacketBytes: 1 << 20 });
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    for (const subscribers of subscribersByFilter.values()) subscribers.delete(peer);
  });
  socket.on('data', (chunk: Buffer) => {
    decoder.feed(chunk, {
      onPublish: (view) => publish(peer, view),
      onAck: () => {},
      onControl: (packet) => control(peer, packet),
    });
    peer.flush();
    for (const subscribers of subscribersByFilter.values()) {
      for (const subscriber of subscribers.keys()) subscriber.flush();
    }
  });
}

net
  .createServer({ highWaterMark: READ_BUFFER_BYTES }, accept)
  .listen(Number(process.argv[2]), '127.0.0.1');
