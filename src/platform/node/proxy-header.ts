import { isIPv4, isIPv6, SocketAddress } from 'node:net';

/**
 * What a proxy says of the client, in the PROXY protocol (HAProxy, versions 1 and 2):
 *
 *     version 1   "PROXY " ("TCP4" | "TCP6") " " source " " destination " " port " " port CR LF
 *                 "PROXY UNKNOWN" anything CR LF
 *     version 2   signature (12), version and command (1), family and transport (1),
 *                 length of the rest (2), addresses, type-length-value fields
 *
 * The fields of version 2 are skipped. One of them may carry the name in a client certificate that
 * the proxy saw; it is not taken for a user name, because whoever reaches the port can write it.
 */
export type ProxyHeader =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly reason: string }
  | {
      readonly kind: 'complete';
      /** Length of the header; what follows it is the client's. */
      readonly bytes: number;
      /** Undefined where the proxy speaks for itself (a health check) or does not know. */
      readonly client: { readonly address: string; readonly port: number } | undefined;
    };

const SIGNATURE_V1 = Buffer.from('PROXY ', 'latin1');
const SIGNATURE_V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Of a version 1 header, its line end included, as the protocol says. */
const MAX_V1_BYTES = 107;
const FIXED_V2_BYTES = 16;
/** Of what follows the fixed part; the protocol allows 65,535, which no proxy comes near to. */
const MAX_V2_BODY_BYTES = 8 * 1024;

const INCOMPLETE: ProxyHeader = { kind: 'incomplete' };

/** Reads the header at the beginning of a connection, of which `bytes` have come so far. */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (beginsLike(buffer, SIGNATURE_V1)) return parseV1(buffer);
  if (beginsLike(buffer, SIGNATURE_V2)) return parseV2(buffer);
  return invalid('it does not begin with a PROXY header');
}

/** Whether it begins with the signature, or is the beginning of one. */
function beginsLike(buffer: Buffer, signature: Buffer): boolean {
  const length = Math.min(buffer.length, signature.length);
  return buffer.compare(signature, 0, length, 0, length) === 0;
}

function parseV1(buffer: Buffer): ProxyHeader {
  const end = buffer.subarray(0, MAX_V1_BYTES).indexOf('\r\n');
  if (end < 0) {
    return buffer.length < MAX_V1_BYTES ? INCOMPLETE : invalid('the PROXY line does not end');
  }
  const line = buffer.toString('latin1', 0, end);
  const bytes = end + 2;
  if (/^PROXY UNKNOWN( |$)/.test(line)) return { kind: 'complete', bytes, client: undefined };
  const [, family, source = '', destination = '', sourcePort = '', destinationPort = '', ...more] =
    line.split(' ');
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isPlainIPv6 : undefined;
  const isWhole =
    more.length === 0 &&
    isAddress?.(source) === true &&
    isAddress(destination) &&
    isPort(sourcePort) &&
    isPort(destinationPort);
  if (!isWhole) return invalid('the PROXY line is malformed');
  const address = family === 'TCP6' ? normalIPv6(source) : source;
  return { kind: 'complete', bytes, client: { address, port: Number(sourcePort) } };
}

/** Without a zone, which means nothing on another machine. */
function isPlainIPv6(text: string): boolean {
  return !text.includes('%') && isIPv6(text);
}

function isPort(text: string): boolean {
  return /^(0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
}

function parseV2(buffer: Buffer): ProxyHeader {
  if (buffer.length < FIXED_V2_BYTES) return INCOMPLETE;
  const version = buffer.readUInt8(12) >> 4;
  const command = buffer.readUInt8(12) & 0x0f;
  const family = buffer.readUInt8(13) >> 4;
  const transport = buffer.readUInt8(13) & 0x0f;
  const bodyBytes = buffer.readUInt16BE(14);
  if (version !== 2 || command > 1 || family > 3 || transport > 2) {
    return invalid('the PROXY header has a version, command or family that does not exist');
  }
  if (bodyBytes > MAX_V2_BODY_BYTES) return invalid(`the PROXY header has ${bodyBytes} bytes`);
  const bytes = FIXED_V2_BYTES + bodyBytes;
  const isTcp = command === 1 && transport === 1 && (family === 1 || family === 2);
  // The command LOCAL, an unknown family, a Unix socket: the connection's own address holds.
  const addressBytes = family === 1 ? 4 : 16;
  if (isTcp && bodyBytes < addressBytes * 2 + 4) return invalid('the PROXY header is cut short');
  if (buffer.length < bytes) return INCOMPLETE;
  if (!isTcp) return { kind: 'complete', bytes, client: undefined };
  const address = buffer.subarray(FIXED_V2_BYTES, FIXED_V2_BYTES + addressBytes);
  const port = buffer.readUInt16BE(FIXED_V2_BYTES + addressBytes * 2);
  return { kind: 'complete', bytes, client: { address: formatAddress(address), port } };
}

function formatAddress(address: Buffer): string {
  if (address.length === 4) return address.join('.');
  const groups = Array.from({ length: 8 }, (_, index) => address.readUInt16BE(index * 2));
  return normalIPv6(groups.map((group) => group.toString(16)).join(':'));
}

/** One spelling for each address, whichever a proxy chooses. */
function normalIPv6(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

function invalid(reason: string): ProxyHeader {
  return { kind: 'invalid', reason };
}
