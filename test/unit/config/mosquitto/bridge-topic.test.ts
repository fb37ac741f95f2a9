import { describe, expect, test } from 'vitest';
import { parseBridgeTopic, remap } from '../../../../src/config/mosquitto/bridge-topic.ts';
import type { UplinkRecord } from '../../../../src/uplink/sink.ts';
import { Template } from '../../../../src/uplink/template.ts';

const at = { file: 'm.conf', line: 1 };
const parse = (value: string): unknown => parseBridgeTopic({ at, name: 'topic', value });

describe('a topic line', () => {
  test.each([
    ['#', { pattern: '#', direction: 'out', qos: 0, localPrefix: '', remotePrefix: '' }],
    ['# both 2 l/ r/', { direction: 'both', qos: 2, localPrefix: 'l/', remotePrefix: 'r/' }],
    ['a in 1 "" r/', { direction: 'in', localPrefix: '', remotePrefix: 'r/' }],
    ['"" out 1 local remote', { pattern: '', localPrefix: 'local', remotePrefix: 'remote' }],
    ['"with blank/#" out', { pattern: 'with blank/#' }],
  ])('%s', (value, expected) => {
    expect(parse(value)).toMatchObject(expected);
  });
});

describe('what goes to the other side', () => {
  const record = (topic: string): UplinkRecord => ({
    topic,
    payload: new Uint8Array(),
    qos: 1,
    retain: false,
    userProperties: [],
    contentType: undefined,
    payloadFormat: undefined,
    responseTopic: undefined,
    correlationData: undefined,
    expiryLeftMs: undefined,
    eventTimeMs: 0,
    isTimeKnown: true,
    origin: '',
    clientId: '',
    stream: '',
    partition: 0,
    offset: 0,
  });

  // The table of mosquitto.conf(5), and what else people write.
  test.each([
    ['a/b', 'L/', 'R/', 'L/a/b', 'R/a/b'],
    ['a/b', 'L/', '', 'L/a/b', 'a/b'],
    ['a/b', '', 'R/', 'a/b', 'R/a/b'],
    ['a/b', '', '', 'a/b', 'a/b'],
    ['', 'local', 'remote', 'local', 'remote'],
    ['#', 'L/M/', 'R/', 'L/M/x/y', 'R/x/y'],
    ['+/b/#', 'L/', 'R/', 'L/a/b/c', 'R/a/b/c'],
    ['#', '', 'R', 'a', 'Ra'],
    ['#', 'L/', 'R/L/', 'L/x', 'R/L/x'],
    ['b', 'a', 'R/', 'ab', 'R/b'],
  ])('pattern %j from %j to %j: %s becomes %s', (pattern, from, to, local, remote) => {
    const { template } = remap(pattern, from, to);
    expect(new Template(template ?? 'none', 'gw').render(record(local))).toBe(remote);
  });

  test('a prefix alone is not taken, of which nothing would be left', () => {
    expect(remap('#', 'L/', '').filter).toBe('L/+/#');
  });

  test.each([
    ['#', 'no-level', 'R/'],
    ['#', '', '{R}/'],
  ])('pattern %j from %j to %j cannot be said', (pattern, from, to) => {
    expect(remap(pattern, from, to).template).toBeUndefined();
  });
});
