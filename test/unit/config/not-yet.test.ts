import { describe, expect, test } from 'vitest';
import { errorsOf, load } from './load-toml.ts';

const stream = (line: string): string => `[[stream]]\nname = "a"\ntopics = ["a"]\n${line}`;
const uplink = (line: string): string => `[[uplink]]\nname = "u"\nmqtt.url = "mqtt://h"\n${line}`;
const listener = (line: string): string => `[[listener]]\nlisten = "127.0.0.1:1883"\n${line}`;

describe('what would break what the user counts on is refused', () => {
  test.each([
    [listener('protocol = "mqtt-sn"'), '3: error: listener[0].protocol: "mqtt-sn" is'],
    [uplink('drain = "live_first"'), '4: error: uplink[0].drain: "live_first" is'],
    [uplink('rate_limit = "500msg/s"'), '4: error: uplink[0].rate_limit: is'],
    [uplink('bandwidth = "64KiB/s"'), '4: error: uplink[0].bandwidth: is'],
    [uplink('max_age = "30d"'), '4: error: uplink[0].max_age: is'],
    [uplink('active = "22:00-06:00"'), '4: error: uplink[0].active: is'],
    [uplink('mqtt.tls = { ca = "c" }'), '4: error: uplink[0].mqtt.tls: is'],
    [
      '[[uplink]]\nname = "u"\n[uplink.kafka]\nbrokers = ["k:9092"]',
      '3: error: uplink[0].kafka: is',
    ],
    [
      '[[uplink]]\nname = "u"\n[uplink.rabbitmq]\nurl = "env:URL"',
      '3: error: uplink[0].rabbitmq: is',
    ],
    [
      '[[uplink]]\nname = "u"\n[uplink.nats]\nservers = ["nats://n"]',
      '3: error: uplink[0].nats: is',
    ],
    [
      '[[uplink]]\nname = "u"\nmqtt = { url = "mqtts://h" }',
      '3: error: uplink[0].mqtt.url: "mqtts://h" is',
    ],
  ])('%j', async (source, error) => {
    const found = await errorsOf(source);
    expect(found).toHaveLength(1);
    const [what, remedy] = (found[0] ?? '').split('\n');
    expect(what).toBe(`cistern.toml:${error} not in this version yet`);
    expect(remedy).toMatch(/^[A-Z].+\.$/);
  });
});

describe('a remedy offers nothing that the next check refuses', () => {
  test.each([
    [listener('protocol = "mqtt-ns"'), 'Write one of "mqtt", "ws".'],
    [uplink('drain = "live"'), 'Write "ordered".'],
    ['[[uplink]]\nname = "u"\nmqtt = { url = "mqts://h" }', 'Write mqtt://host:port.'],
  ])('%j', async (source, remedy) => {
    const [error = ''] = await errorsOf(source);
    expect(error.split('\n')[1]).toBe(remedy);
  });
});

describe('what is harmless is accepted, and said', () => {
  test.each([
    [uplink('priority = ["default"]'), 'uplink[0].priority'],
    [uplink('dead_letter.quota = "1MiB"'), 'uplink[0].dead_letter.quota'],
  ])('%j', async (source, key) => {
    const { warnings } = await load(source);
    expect(warnings.map((each) => [each.key, each.message])).toEqual([
      [key, 'is not in this version yet and has no effect'],
    ]);
  });

  test('a key that says what happens anyway needs no word', async () => {
    const source = [
      listener('protocol = "mqtt"\nproxy_protocol = false'),
      stream('when_full = "drop_oldest"\nack = "flash"'),
      uplink('drain = "ordered"\ndead_letter.attempts = 5'),
    ].join('\n');
    expect((await load(source)).warnings).toEqual([]);
  });
});
