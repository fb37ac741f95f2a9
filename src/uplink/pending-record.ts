import { parsePublishProperties } from '../codec/publish-properties.ts';
import { decodeMessageAttributes } from '../codec/stored-message.ts';
import type { EventTimes } from '../ring/event-time.ts';
import type { EventTime, RecordView } from '../ring/types.ts';
import type { StreamPartition } from '../streams/types.ts';
import type { UplinkRecord } from './sink.ts';

const NO_PROPERTIES: readonly (readonly [string, string])[] = [];

/** A record on its way: what the sink sees, and where the forwarder is with it. */
export class PendingRecord implements UplinkRecord {
  readonly partitionId: number;
  readonly stream: string;
  readonly partition: number;
  readonly offset: number;
  readonly topic: string;
  readonly clientId: string;
  readonly payload: Uint8Array;
  readonly origin: string;
  /** Held in memory for it. */
  readonly bytes: number;
  qos: 0 | 1 | 2 = 0;
  retain = false;
  userProperties: readonly (readonly [string, string])[] = NO_PROPERTIES;
  contentType: string | undefined = undefined;
  payloadFormat: number | undefined = undefined;
  responseTopic: string | undefined = undefined;
  correlationData: Uint8Array | undefined = undefined;

  /** Number of the link it was handed to last; 0 for none. */
  sentOnLink = 0;
  /** Place in the order of sending, of the last time it was handed over. */
  sentNumber = 0;
  /** How often a destination called it poison. */
  poisonings = 0;
  isSettled = false;

  readonly #times: EventTimes;
  readonly #time: EventTime;
  #expirySeconds: number | undefined;

  constructor(view: RecordView, from: StreamPartition, originPrefix: string, times: EventTimes) {
    this.partitionId = from.partitionId;
    this.stream = from.stream;
    this.partition = from.index;
    this.offset = view.offset;
    this.topic = view.topic;
    this.clientId = view.origin;
    this.payload = view.payload;
    this.origin = `${originPrefix}/${view.offset}`;
    this.bytes = view.payload.length + view.attributes.length + view.topic.length;
    this.#times = times;
    this.#time = view.time;
  }

  get eventTimeMs(): number {
    return this.#times.estimateMs(this.#time);
  }

  get isTimeKnown(): boolean {
    return this.#times.wallMs(this.#time) !== undefined;
  }

  /** Since it was appended, as far as anybody can tell. */
  get ageMs(): number {
    return this.#times.ageMs(this.#time) ?? 0;
  }

  get expiryLeftMs(): number | undefined {
    if (this.#expirySeconds === undefined) return undefined;
    return Math.max(0, this.#expirySeconds * 1000 - this.ageMs);
  }

  /** Takes over what the attributes say. Returns why nobody can read them, if so. */
  decode(attributes: Uint8Array | undefined): string | undefined {
    if (attributes === undefined || attributes.length === 0) return undefined;
    try {
      this.#takeOver(attributes);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #takeOver(attributes: Uint8Array): void {
    const { qos, retain, properties, expirySeconds } = decodeMessageAttributes(attributes);
    this.qos = qos;
    this.retain = retain;
    this.#expirySeconds = expirySeconds;
    if (properties.length === 0) return;
    const parsed = parsePublishProperties(properties, 0, properties.length);
    this.userProperties = parsed.userProperties;
    this.contentType = parsed.contentType;
    this.payloadFormat = parsed.payloadFormat;
    this.responseTopic = parsed.responseTopic;
    this.correlationData = parsed.correlationData;
  }
}
