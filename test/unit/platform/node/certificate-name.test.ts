import type { PeerCertificate } from 'node:tls';
import { describe, expect, test } from 'vitest';
import { userNameOf } from '../../../../src/platform/node/certificate-name.ts';

function certificate(parts: {
  readonly cn?: string | readonly string[];
  readonly names?: string;
}): PeerCertificate {
  return { subject: { CN: parts.cn }, subjectaltname: parts.names } as unknown as PeerCertificate;
}

describe('the common name', () => {
  test.each([
    ['device-1', 'device-1'],
    ['Gerät 7', 'Gerät 7'],
    [['first', 'second'], 'first'],
    [undefined, undefined],
    ['', undefined],
    ['admin\0.example', undefined],
    ['line\nbreak', undefined],
  ])('%j gives %j', (cn, expected) => {
    expect(userNameOf(certificate(cn === undefined ? {} : { cn }), 'cn')).toBe(expected);
  });
});

describe('the alternative names: DNS before e-mail before URI, the first of each', () => {
  test.each([
    ['URI:urn:dev:1, email:a@b.c, DNS:one.example, DNS:two.example', 'one.example'],
    ['URI:urn:dev:1, email:a@b.c', 'a@b.c'],
    ['IP Address:10.0.0.1, URI:urn:dev:1', 'urn:dev:1'],
    ['IP Address:10.0.0.1', undefined],
    [undefined, undefined],
    // Node writes a value in quotes where it has a comma or a quote in it.
    ['URI:"x, DNS:admin"', 'x, DNS:admin'],
    ['URI:"x\\", DNS:admin", email:a@b.c', 'a@b.c'],
    ['othername:<unsupported>, DNS:one.example', 'one.example'],
  ])('%j gives %j', (names, expected) => {
    expect(userNameOf(certificate(names === undefined ? {} : { names }), 'san')).toBe(expected);
  });

  test('the common name is not taken for one of them', () => {
    expect(userNameOf(certificate({ cn: 'device-1' }), 'san')).toBeUndefined();
  });
});
