import { parsePublishProperties } from '../codec/publish-properties.ts';
import { decodeMessageAttributes } from '../codec/stored-message.ts';
import type { RecordView } from '../ring/types.ts';
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
  readonly eventTimeMs: number;
  readonly isTimeTrusted: boolean;
  readonly origin: string;
  /** Held in memory for it. */
  readonly bytes: number;
  /** Monotonic milliseconds at which this process read it. */
  readonly readAtMs: number;
  qos: 0 | 1 | 2 = 0;
  retain = false;
  userProperties: readonly (readonly [string, string])[] = NO_PROPERTIES;
  contentType: string | undefined = undefined;
  payloadFormat: number | undefined = undefined;
  responseTopic: string | undefined = undefined;
  correlationData: Uint8Array | undefined = undefined;
  expiresAtMs: number | undefined = undefined;

  /** Number of the link it was handed to last; 0 for none. */
  sentOnLink = 0;
  /** Place in the order of sending, of the last time it was handed over. */
  sentNumber = 0;
  /** How often a destination called it poison. */
  poisonings = 0;
  isSettled = false;

  constructor(view: RecordView, from: StreamPartition, originPrefix: string, nowMs: number) {
    this.partitionId = from.partitionId;
    this.stream = from.stream;
    this.partition = from.index;
    this.offset = view.offset;
    this.topic = view.topic;
    this.clientId = view.origin;
    this.payload = view.payload;
    this.eventTimeMs = view.time.wallMs;
    this.isTimeTrusted = view.time.trusted;
    this.origin = `${originPrefix}/${view.offset}`;
    this.bytes = view.payload.length + view.attributes.length + view.topic.length;
    this.readAtMs = nowMs;
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

  /** Not where the event's time is in doubt: a clock that jumps must not cost a record. */
  isExpired(wallMs: number): boolean {
    return this.isTimeTrusted && this.expiresAtMs !== undefined && this.expiresAtMs <= wallMs;
  }

  #takeOver(attributes: Uint8Array): void {
    const { qos, retain, properties, expiresAtMs } = decodeMessageAttributes(attributes);
    this.qos = qos;
    this.retain = retain;
    this.expiresAtMs = expiresAtMs;
    if (properties.length === 0) return;
    const parsed = parsePublishProperties(properties, 0, properties.length);
    this.userProperties = parsed.userProperties;
    this.contentType = parsed.contentType;
    this.payloadFormat = parsed.payloadFormat;
    this.responseTopic = parsed.responseTopic;
    this.correlationData = parsed.correlationData;
  }
}
