import type { Properties } from './properties.ts';

/** 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5.0: the protocol level byte of CONNECT. */
export type ProtocolVersion = 3 | 4 | 5;

export type Qos = 0 | 1 | 2;

/** The first four bits of each packet, section 2.1.2. */
export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;

export type AckType = 4 | 5 | 6 | 7;

export interface Will {
  topic: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
  /** `willDelaySeconds` and those of the PUBLISH it will be. */
  properties: Properties;
}

export interface ConnectPacket {
  type: 'connect';
  protocolVersion: ProtocolVersion;
  /** Empty where the server shall choose one. */
  clientId: string;
  /** Clean session in 3.1 and 3.1.1. */
  cleanStart: boolean;
  /** 0 turns it off. */
  keepAliveSeconds: number;
  will?: Will;
  username?: string;
  password?: Uint8Array;
  properties: Properties;
}

export interface ConnackPacket {
  type: 'connack';
  sessionPresent: boolean;
  /** The return code of 3.1.1 (0 to 5) where the connection speaks that. */
  reasonCode: number;
  properties: Properties;
}

export interface Subscription {
  filter: string;
  qos: Qos;
  /** The three options of 5.0; false, false and 0 below it. */
  noLocal: boolean;
  retainAsPublished: boolean;
  retainHandling: 0 | 1 | 2;
}

export interface SubscribePacket {
  type: 'subscribe';
  packetId: number;
  subscriptions: Subscription[];
  properties: Properties;
}

export interface SubackPacket {
  type: 'suback';
  packetId: number;
  reasonCodes: number[];
  properties: Properties;
}

export interface UnsubscribePacket {
  type: 'unsubscribe';
  packetId: number;
  filters: string[];
  properties: Properties;
}

export interface UnsubackPacket {
  type: 'unsuback';
  packetId: number;
  /** Empty below 5.0. */
  reasonCodes: number[];
  properties: Properties;
}

export interface PingreqPacket {
  type: 'pingreq';
}

export interface PingrespPacket {
  type: 'pingresp';
}

export interface DisconnectPacket {
  type: 'disconnect';
  /** 0 below 5.0. */
  reasonCode: number;
  properties: Properties;
}

export interface AuthPacket {
  type: 'auth';
  reasonCode: number;
  properties: Properties;
}

/** Every packet but PUBLISH and its acks, which have a path of their own. */
export type ControlPacket =
  | ConnectPacket
  | ConnackPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket;
