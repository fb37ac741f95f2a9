import fc from 'fast-check';
import { isIP, SocketAddress } from 'node:net';
import { expect, test } from 'vitest';
import { parseProxyHeader, type ProxyHeader } from '../../src/platform/node/proxy-header.ts';

const SIGNATURE_V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

interface Sample {
  readonly header: Buffer;
  readonly client: { readonly address: string; readonly port: number } | undefined;
}

const port = fc.integer({ min: 0, max: 65_535 });

const v1: fc.Arbitrary<Sample> = fc
  .oneof(
    fc.tuple(fc.constant('TCP4'), fc.ipV4(), fc.ipV4(), port, port),
    fc.tuple(fc.constant('TCP6'), fc.ipV6(), fc.ipV6(), port, port),
  )
  .filter(([, ...addresses]) => addresses.slice(0, 2).every((text) => isIP(String(text)) > 0))
  .map(([family, source, destination, sourcePort, destinationPort]) => ({
    header: Buffer.from(
      `PROXY ${family} ${source} ${destination} ${sourcePort} ${destinationPort}\r\n`,
    ),
    client: {
      address:
        family === 'TCP6' ? new SocketAddress({ address: source, family: 'ipv6' }).address : source,
      port: sourcePort,
    },
  }));

const unknown: fc.Arbitrary<Sample> = fc
  .stringMatching(/^[ -~]{0,80}$/)
  .map((rest) => ({ header: Buffer.from(`PROXY UNKNOWN ${rest}\r\n`), client: undefined }));

const v2: fc.Arbitrary<Sample> = fc
  .record({
    isLocal: fc.boolean(),
    isV6: fc.boolean(),
    address: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    port,
    fields: fc.uint8Array({ maxLength: 600 }),
  })
  .map((parts) => {
    const addressBytes = parts.isV6 ? 16 : 4;
    const source = Buffer.from(parts.address.subarray(0, addressBytes));
    const body = Buffer.concat([source, Buffer.alloc(addressBytes + 4), parts.fields]);
    body.writeUInt16BE(parts.port, addressBytes * 2);
    const fixed = Buffer.from([parts.isLocal ? 0x20 : 0x21, parts.isV6 ? 0x21 : 0x11, 0, 0]);
    fixed.writeUInt16BE(body.length, 2);
    const groups = source.toString('hex').match(/.{4}/g) ?? [];
    const address = parts.isV6
      ? new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address
      : source.join('.');
    return {
      header: Buffer.concat([SIGNATURE_V2, fixed, body]),
      client: parts.isLocal ? undefined : { address, port: parts.port },
    };
  });

const sample = fc.oneof(v1, unknown, v2);

test('a header is found whole, with the client it names, whatever follows', () => {
  fc.assert(
    fc.property(sample, fc.uint8Array({ maxLength: 50 }), ({ header, client }, rest) => {
      const found = parseProxyHeader(Buffer.concat([header, rest]));
      expect(found).toEqual({ kind: 'complete', bytes: header.length, client });
    }),
  );
});

test('any part of a header is incomplete, never wrong', () => {
  fc.assert(
    fc.property(sample, fc.double({ min: 0, max: 0.999, noNaN: true }), ({ header }, share) => {
      const part = header.subarray(0, Math.floor(header.length * share));
      expect(parseProxyHeader(part)).toEqual({ kind: 'incomplete' });
    }),
  );
});

test('garbage is refused or waited for, within a bound, and never throws', () => {
  const prefix = fc.constantFrom(Buffer.alloc(0), Buffer.from('PROXY '), SIGNATURE_V2);
  fc.assert(
    fc.property(prefix, fc.uint8Array({ maxLength: 300 }), (start, rest) => {
      const found: ProxyHeader = parseProxyHeader(Buffer.concat([start, rest]));
      if (found.kind === 'complete') expect(found.bytes).toBeLessThanOrEqual(8 * 1024 + 16);
      if (found.kind === 'invalid') expect(found.reason).not.toBe('');
    }),
  );
  const endless = Buffer.concat([Buffer.from('PROXY TCP4 '), Buffer.alloc(200, '1')]);
  expect(parseProxyHeader(endless).kind).toBe('invalid');
});

test.each([
  ['a client of MQTT without a proxy', Buffer.from([0x10, 12, 0, 4, 77, 81, 84, 84])],
  ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n')],
  ['TCP4 with an address of version 6', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n')],
  ['a port that does not exist', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 65536 1\r\n')],
  ['a port with a zero in front', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 080 1\r\n')],
  ['an address with a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n')],
  ['one field too many', Buffer.from('PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n')],
  ['a family nobody has', Buffer.from('PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n')],
  ['version 3', Buffer.concat([SIGNATURE_V2, Buffer.from([0x31, 0x11, 0, 12])])],
  [
    'a command that does not exist',
    Buffer.concat([SIGNATURE_V2, Buffer.from([0x22, 0x11, 0, 12])]),
  ],
  ['addresses cut short', Buffer.concat([SIGNATURE_V2, Buffer.from([0x21, 0x21, 0, 12])])],
  ['a length beyond the bound', Buffer.concat([SIGNATURE_V2, Buffer.from([0x21, 0x11, 0xff, 0])])],
])('refused: %s', (_, bytes) => {
  expect(parseProxyHeader(bytes).kind).toBe('invalid');
});

test('a Unix socket behind the proxy has no address: that of the connection holds', () => {
  const header = Buffer.concat([
    SIGNATURE_V2,
    Buffer.from([0x21, 0x31, 0, 216]),
    Buffer.alloc(216),
  ]);
  expect(parseProxyHeader(header)).toEqual({ kind: 'complete', bytes: 232, client: undefined });
});
