import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ensureProgram } from '../../build/lib/debian.ts';
import { type Cistern, executablePath, startCistern } from '../support/executable.ts';
import { assertRunning } from '../support/last-words.ts';
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts';
import {
  cisternTools,
  CommandLineClients,
  MOSQUITTO_TOOLS,
  type Protocol,
} from './command-line-clients.ts';

const TOOLS = { mosquitto: MOSQUITTO_TOOLS, cistern: cisternTools(executablePath()) };

let broker: Cistern;
let mosquitto: Mosquitto;

beforeAll(async () => {
  await ensureProgram('mosquitto_pub', 'mosquitto-clients');
  broker = await startCistern({ toml: 'anonymous = true' });
  mosquitto = await startMosquitto();
});

afterAll(async () => {
  await broker?.stop();
  await mosquitto?.stop();
});

const CLIENTS: readonly (readonly [keyof typeof TOOLS, Protocol])[] = [
  ['mosquitto', 'mqttv311'],
  ['mosquitto', 'mqttv5'],
  ['cistern', 'mqttv311'],
  ['cistern', 'mqttv5'],
];

/** Topics and client ids of one block must not meet those of another. */
function namesOf(tools: string, protocol: Protocol) {
  const id = (name: string): string => `${tools}-${protocol}-${name}`;
  return {
    own: `${tools}/${protocol}`,
    id,
    /** A session that stays: 5.0 has to say for how long. */
    lasting: (name: string): string[] => [
      ...['-c', '-i', id(name), '-q', '1'],
      ...(protocol === 'mqttv5' ? ['-x', '3600'] : []),
    ],
  };
}

describe.each(CLIENTS)('Cistern with the clients of %s over %s', (tools, protocol) => {
  const { own, id, lasting } = namesOf(tools, protocol);
  let clients: CommandLineClients;

  beforeEach(() => {
    clients = new CommandLineClients(broker.mqttPort, TOOLS[tools], protocol);
  });

  afterEach(async () => {
    await clients.stop();
    assertRunning(broker);
  });

  test.each(['0', '1', '2'])('QoS %s there and back', async (qos) => {
    const topic = `${own}/qos/${qos}`;
    const subscriber = await clients.subscribe(['-t', topic, '-q', qos]);
    for (const payload of ['one', 'two', 'three']) {
      await clients.publish(['-t', topic, '-m', payload, '-q', qos]);
    }
    expect(await subscriber.waitForMessages(3)).toEqual([
      `0 ${qos} ${topic} one`,
      `0 ${qos} ${topic} two`,
      `0 ${qos} ${topic} three`,
    ]);
  });

  test('retained: the last value greets a newcomer, an empty one removes it', async () => {
    const topic = `${own}/retained`;
    await clients.publish(['-t', topic, '-m', 'old', '-r', '-q', '1']);
    await clients.publish(['-t', topic, '-m', 'new', '-r', '-q', '1']);
    const first = await clients.subscribe(['-t', `${own}/retained/#`, '-q', '1']);
    expect(await first.waitForMessages(1)).toEqual([`1 1 ${topic} new`]);
    await clients.publish(['-t', topic, '-n', '-r', '-q', '1']);
    // To those who are there a retained message is like any other.
    expect(await first.waitForMessages(2)).toEqual([`1 1 ${topic} new`, `0 1 ${topic} `]);
    const second = await clients.subscribe(['-t', topic, '-q', '1']);
    await clients.publish(['-t', topic, '-m', 'after', '-q', '1']);
    expect(await second.waitForMessages(1)).toEqual([`0 1 ${topic} after`]);
  });

  test('a will is published when its client is killed, and not when it says goodbye', async () => {
    const topic = `${own}/will`;
    const watcher = await clients.subscribe(['-t', topic, '-q', '1']);
    const will = (payload: string) => [
      ...['-t', `${own}/nothing`, '-i', id(payload)],
      ...['--will-topic', topic, '--will-payload', payload, '--will-qos', '1'],
    ];
    // Over 5.0 mosquitto_sub asks for its will when a signal ends it, but not after its last message.
    const polite = await clients.subscribe([...will('polite'), '-C', '1']);
    await clients.publish(['-t', `${own}/nothing`, '-m', 'the last one']);
    expect(await polite.process.exited()).toBe(0);
    const killed = await clients.subscribe(will('killed'));
    await killed.process.end('SIGKILL');
    expect(await watcher.waitForMessages(1)).toEqual([`0 1 ${topic} killed`]);
  });

  test('a lasting session keeps what comes while its client is away, also over kill -9', async () => {
    const topic = `${own}/away`;
    await clients.subscribeAndLeave([...lasting('away'), '-t', topic]);
    await clients.publish(['-t', topic, '-m', 'before', '-q', '1']);
    await broker.kill9();
    await broker.launch();
    await clients.publish(['-t', topic, '-m', 'after', '-q', '1']);
    const subscriber = clients.resume([...lasting('away'), '-t', topic, '-C', '2']);
    expect(await subscriber.process.exited()).toBe(0);
    expect(subscriber.messages).toEqual([`0 1 ${topic} before`, `0 1 ${topic} after`]);
  });

  test.each(['1', '2'])('2,000 lines at QoS %s arrive once and in order', async (qos) => {
    const topic = `${own}/lines/${qos}`;
    const subscriber = await clients.subscribe(['-t', topic, '-q', qos]);
    const lines = Array.from({ length: 2_000 }, (_, index) => `line ${index}`);
    await clients.publish(['-t', topic, '-q', qos, '-l'], `${lines.join('\n')}\n`);
    const messages = await subscriber.waitForMessages(lines.length, 20_000);
    expect(messages).toEqual(lines.map((line) => `0 ${qos} ${topic} ${line}`));
  });

  test('200 KB in one message', async () => {
    const topic = `${own}/large`;
    const subscriber = await clients.subscribe(['-t', topic, '-q', '1']);
    const payload = '0123456789abcdef'.repeat(12_500);
    await clients.publish(['-t', topic, '-q', '1', '-s'], payload);
    expect(await subscriber.waitForMessages(1)).toEqual([`0 1 ${topic} ${payload}`]);
  });
});

// What depends on the broker alone is proved once, with the clients that do not come from here.
describe.each(['mqttv311', 'mqttv5'] as const)(
  'Cistern as mosquitto_sub sees it over %s',
  (protocol) => {
    const { own, id, lasting } = namesOf('broker', protocol);
    let clients: CommandLineClients;

    beforeEach(() => {
      clients = new CommandLineClients(broker.mqttPort, TOOLS.mosquitto, protocol);
    });

    afterEach(async () => {
      await clients.stop();
      assertRunning(broker);
    });

    test('the lower of both QoS counts', async () => {
      const topic = `${own}/lower`;
      const subscriber = await clients.subscribe(['-t', topic, '-q', '1']);
      await clients.publish(['-t', topic, '-m', 'down', '-q', '2']);
      await clients.publish(['-t', topic, '-m', 'kept', '-q', '0']);
      // QoS 2 is delivered after its commit, so the QoS 0 message may overtake it.
      const messages = await subscriber.waitForMessages(2);
      expect(messages.toSorted()).toEqual([`0 0 ${topic} kept`, `0 1 ${topic} down`]);
    });

    test('wildcards: + is one level, # is the rest, $ topics stay apart', async () => {
      const plus = await clients.subscribe(['-t', `${own}/wild/+/x`]);
      const hash = await clients.subscribe(['-t', `${own}/wild/#`]);
      for (const level of ['wild/a/x', 'wild/a/b/x', 'wild/a/y', 'wild']) {
        await clients.publish(['-t', `${own}/${level}`, '-m', 'm', '-q', '1']);
      }
      await clients.publish(['-t', `${own}/wild/last/x`, '-m', 'm', '-q', '1']);
      const topics = (lines: readonly string[]) => lines.map((line) => line.split(' ')[2]);
      expect(topics(await plus.waitForMessages(2))).toEqual([
        `${own}/wild/a/x`,
        `${own}/wild/last/x`,
      ]);
      expect(topics(await hash.waitForMessages(5))).toEqual(
        ['wild/a/x', 'wild/a/b/x', 'wild/a/y', 'wild', 'wild/last/x'].map(
          (level) => `${own}/${level}`,
        ),
      );
    });

    test('a client that hangs is missed after one and a half keep alives', async () => {
      const topic = `${own}/hangs`;
      const watcher = await clients.subscribe(['-t', topic]);
      const hung = await clients.subscribe([
        ...['-t', `${own}/nothing`, '-i', id('hangs'), '-k', '5'],
        ...['--will-topic', topic, '--will-payload', 'missed'],
      ]);
      hung.process.pause();
      const startMs = performance.now();
      expect(await watcher.waitForMessages(1, 15_000)).toEqual([`0 0 ${topic} missed`]);
      expect(performance.now() - startMs).toBeGreaterThan(4_000);
    }, 30_000);

    test('a clean session keeps nothing', async () => {
      const topic = `${own}/clean`;
      await clients.subscribeAndLeave([...lasting('clean'), '-t', topic]);
      const clean = await clients.subscribe(['-i', id('clean'), '-q', '1', '-t', `${own}/else`]);
      await clean.process.end('SIGINT');
      await clients.publish(['-t', topic, '-m', 'nobody waits', '-q', '1']);
      const back = await clients.subscribe([...lasting('clean'), '-t', topic]);
      await clients.publish(['-t', topic, '-m', 'now', '-q', '1']);
      expect(await back.waitForMessages(1)).toEqual([`0 1 ${topic} now`]);
    });
  },
);

describe.each(['mosquitto', 'cistern'] as const)(
  'what only 5.0 has, with the clients of %s',
  (tools) => {
    const { own, id } = namesOf(`only5/${tools}`, 'mqttv5');
    let clients: CommandLineClients;

    beforeEach(() => {
      clients = new CommandLineClients(broker.mqttPort, TOOLS[tools], 'mqttv5');
    });

    afterEach(async () => {
      await clients.stop();
      assertRunning(broker);
    });

    test('5.0 properties reach the other side', async () => {
      const topic = `${own}/properties`;
      const watching = await clients.subscribe(['-t', topic, '-F', '> %C %R %D %P']);
      await clients.publish([
        ...['-t', topic, '-m', 'm', '-q', '1'],
        ...['-D', 'publish', 'content-type', 'text/csv'],
        ...['-D', 'publish', 'response-topic', 'answers'],
        ...['-D', 'publish', 'correlation-data', 'c1'],
        ...['-D', 'publish', 'user-property', 'unit', 'celsius'],
      ]);
      expect(await watching.waitForMessages(1)).toEqual(['text/csv answers c1 unit:celsius']);
    });

    test('a session ends when its expiry is over', async () => {
      const topic = `${own}/expiry`;
      const short = ['-c', '-i', id('expiry'), '-q', '1', '-x', '1', '-t', topic];
      await clients.subscribeAndLeave(short);
      await sleep(3_000);
      await clients.publish(['-t', topic, '-m', 'too late', '-q', '1']);
      const back = await clients.subscribe(short);
      await clients.publish(['-t', topic, '-m', 'in time', '-q', '1']);
      expect(await back.waitForMessages(1)).toEqual([`0 1 ${topic} in time`]);
    });
  },
);

describe.each(['mqttv311', 'mqttv5'] as const)(
  'cistern pub and sub at Mosquitto over %s',
  (protocol) => {
    let ours: CommandLineClients;
    let theirs: CommandLineClients;

    beforeEach(() => {
      ours = new CommandLineClients(mosquitto.port, TOOLS.cistern, protocol);
      theirs = new CommandLineClients(mosquitto.port, TOOLS.mosquitto, protocol);
    });

    afterEach(async () => {
      await ours.stop();
      await theirs.stop();
    });

    test.each(['0', '1', '2'])('QoS %s between both kinds of clients', async (qos) => {
      const topic = `${protocol}/both/${qos}`;
      const subscribers = [
        await ours.subscribe(['-t', topic, '-q', qos]),
        await theirs.subscribe(['-t', topic, '-q', qos]),
      ];
      await ours.publish(['-t', topic, '-q', qos, '-m', 'from cistern']);
      await theirs.publish(['-t', topic, '-q', qos, '-m', 'from mosquitto']);
      for (const subscriber of subscribers) {
        expect(await subscriber.waitForMessages(2)).toEqual([
          `0 ${qos} ${topic} from cistern`,
          `0 ${qos} ${topic} from mosquitto`,
        ]);
      }
    });

    test('retained, set by one and removed by the other', async () => {
      const topic = `${protocol}/kept`;
      await ours.publish(['-t', topic, '-m', 'value', '-r', '-q', '1']);
      const subscriber = await theirs.subscribe(['-t', topic]);
      expect(await subscriber.waitForMessages(1)).toEqual([`1 0 ${topic} value`]);
      await theirs.publish(['-t', topic, '-n', '-r', '-q', '1']);
      const late = await ours.subscribe(['-t', topic]);
      await theirs.publish(['-t', topic, '-m', 'fresh', '-q', '1']);
      expect(await late.waitForMessages(1)).toEqual([`0 0 ${topic} fresh`]);
    });
  },
);
