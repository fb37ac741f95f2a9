import { describe, expect, it } from 'vitest';
import type { UplinkRecord } from '../../../src/uplink/sink.ts';
import { Template } from '../../../src/uplink/template.ts';

const record: UplinkRecord = {
  topic: 'site/3/temp',
  payload: new Uint8Array(0),
  qos: 0,
  retain: false,
  userProperties: [
    ['unit', 'C'],
    ['unit', 'F'],
  ],
  contentType: undefined,
  payloadFormat: undefined,
  responseTopic: undefined,
  correlationData: undefined,
  expiryLeftMs: undefined,
  eventTimeMs: 0,
  isTimeKnown: true,
  origin: 'gw/cafe/telemetry/2/9',
  clientId: 'probe',
  stream: 'telemetry',
  partition: 2,
  offset: 9,
};

describe('a template', () => {
  it.each([
    ['{topic}', 'site/3/temp'],
    ['up/{node}/{stream}/{partition}', 'up/gw/telemetry/2'],
    ['{topic[0]}-{topic[2]}-{topic[7]}', 'site-temp-'],
    ['up/{topic[1:]}', 'up/3/temp'],
    ['{topic[0:]}-{topic[2:]}-{topic[3:]}', 'site/3/temp-temp-'],
    ['{client_id}.{property:unit}.{property:none}', 'probe.C.'],
    ['plain', 'plain'],
  ])('%s becomes %s', (text, name) => {
    expect(new Template(text, 'gw').render(record)).toBe(name);
  });

  it.each(['{tpoic}', '{topic[x]}', '{topic[:]}', '{}', '{property:}'])('%s is refused', (text) => {
    expect(() => new Template(text, 'gw')).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});
