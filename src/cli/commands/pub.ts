import { readFile } from 'node:fs/promises';
import { ReasonCodes, type IClientPublishOptions, type MqttClient } from 'mqtt';
import { CisternError } from '../../base/errors.ts';
import { AckReasonFilter } from '../../codec/ack-reason-filter.ts';
import type { Arguments } from '../arguments.ts';
import {
  closeClient,
  openClient,
  QOS_CHOICES,
  readClientOptions,
  toPacket,
  untilProtocolFault,
} from '../client.ts';
import { readUrl } from '../client-endpoint.ts';
import { CLIENT_NOTE, CLIENT_OPTIONS } from '../client-options.ts';
import { readProperties } from '../client-properties.ts';
import type { Command } from '../command.ts';
import { describeError } from '../connect-failure.ts';
import { ExitCode } from '../exit-code.ts';
import type { CliIo } from '../io.ts';
import { readAll, splitLines } from '../split-lines.ts';

/** Messages that may wait for their acknowledgement while further lines are read. */
const MAX_WAITING = 100;

export const pubCommand: Command = {
  spec: {
    name: 'pub',
    summary: 'publish a message, with the options of mosquitto_pub',
    usage: '-t TOPIC {-m TEXT | -f FILE | -l | -n | -s} [OPTION …]',
    options: {
      topic: { value: 'TOPIC', short: 't', help: 'Where to publish.' },
      message: { value: 'TEXT', short: 'm', help: 'The message.' },
      file: { value: 'FILE', short: 'f', help: 'The message is the content of a file.' },
      'stdin-line': { short: 'l', help: 'Each line of standard input is a message.' },
      'null-message': { short: 'n', help: 'An empty message: removes a retained one (with -r).' },
      'stdin-file': { short: 's', help: 'All of standard input is the message.' },
      retain: { short: 'r', help: 'Retain it.' },
      repeat: { value: 'COUNT', help: 'Publish it so many times.' },
      'repeat-delay': { value: 'SECONDS', help: 'With a pause between; fractions are possible.' },
      'max-inflight': {
        value: 'COUNT',
        short: 'M',
        help: `Lines that wait for their acknowledgement. Default: ${MAX_WAITING}`,
      },
      ...CLIENT_OPTIONS,
    },
    positionals: { min: 0, max: 0 },
    notes: [
      'With -q 1 or 2 it ends when the broker has acknowledged: with Cistern the message is on flash\n' +
        'by then, if a stream takes it.',
      CLIENT_NOTE,
    ],
    examples: [
      { command: 'cistern pub -t sensors/1/temperature -m 21.5 -q 1', why: 'one measurement' },
      { command: 'vmstat 1 | cistern pub -t host/vmstat -l', why: 'a line each second' },
      { command: 'cistern pub -t sensors/1/state -r -n', why: 'forget a retained message' },
    ],
  },
  run: publish,
};

const SOURCES = ['message', 'file', 'stdin-line', 'null-message', 'stdin-file'] as const;

async function publish(args: Arguments, io: CliIo): Promise<ExitCode> {
  const topic = readTopic(args);
  const payloads = await readPayloads(args, io);
  const publishOptions = readPublishOptions(args);
  const client = await openClient(await readClientOptions(args, io), args, io);
  const acks = new AckReasonFilter();
  if (client.options.protocolVersion === 5) {
    // Before MQTT.js, which reads what the stream is piped into.
    client.stream.prependListener('data', (chunk: Buffer) => acks.rewrite(chunk));
  }
  const fault = untilProtocolFault(client);
  let reason = '';
  client.on('disconnect', ({ reasonCode = 0 }) => {
    reason = ` with reason code 0x${reasonCode.toString(16)}`;
  });
  const closed = new Promise<never>((_, reject) => {
    client.once('close', () => {
      const message = `The broker closed the connection${reason}.`;
      reject(new CisternError('BROKER_UNREACHABLE', message));
    });
  });
  // It is awaited only beside what it can interrupt; a close at the end concerns nobody.
  closed.catch(() => undefined);
  const window = args.number('max-inflight', { min: 1, max: 65_535 }) ?? MAX_WAITING;
  try {
    const publishOne: PublishOne = (payload) =>
      publishMessage(client, topic, payload, publishOptions, acks);
    await Promise.race([fault, publishAll(publishOne, payloads, window), closed]);
  } finally {
    client.removeAllListeners('close');
    await closeClient(client, readProperties(args).get('disconnect'));
  }
  return ExitCode.ok;
}

function readTopic(args: Arguments): string {
  const topic = args.text('topic') ?? readUrl(args)?.topic;
  if (topic === undefined) throw args.usageError('-t names no topic');
  // MQTT-3.3.2-2: wildcards are for those who subscribe.
  if (topic === '' || /[+#\0]/.test(topic)) {
    throw args.usageError(`"${topic}" is not a topic to publish to: it is empty or has a wildcard`);
  }
  return topic;
}

async function readPayloads(args: Arguments, io: CliIo): Promise<AsyncIterable<Buffer>> {
  const [source, second] = SOURCES.filter((each) => args.has(each));
  if (source === undefined || second !== undefined) {
    throw args.usageError('say what to publish with exactly one of -m, -f, -l, -n and -s');
  }
  if (source === 'stdin-line') {
    if (args.has('repeat')) throw args.usageError('--repeat does not go with -l');
    return splitLines(io.stdin);
  }
  const payload = await readPayload(source, args, io);
  const count = args.number('repeat', { min: 1, max: 1_000_000_000 }) ?? 1;
  const delaySeconds = args.number('repeat-delay', { min: 0, max: 86_400, fraction: true }) ?? 0;
  return repeat(payload, count, delaySeconds * 1000, io);
}

async function readPayload(
  source: 'message' | 'file' | 'null-message' | 'stdin-file',
  args: Arguments,
  io: CliIo,
): Promise<Buffer> {
  switch (source) {
    case 'message':
      return Buffer.from(args.text('message') ?? '');
    case 'null-message':
      return Buffer.alloc(0);
    case 'stdin-file':
      return readAll(io.stdin);
    case 'file': {
      const path = args.text('file') ?? '';
      try {
        return await readFile(path);
      } catch (cause) {
        throw args.usageError(`the file ${path} cannot be read: ${describeError(cause)}`);
      }
    }
  }
}

async function* repeat(
  payload: Buffer,
  count: number,
  delayMs: number,
  io: CliIo,
): AsyncGenerator<Buffer> {
  for (let done = 0; done < count; done++) {
    if (done > 0 && delayMs > 0) await io.sleep(delayMs);
    yield payload;
  }
}

function readPublishOptions(args: Arguments): IClientPublishOptions {
  const properties = readProperties(args).get('publish');
  return {
    qos: args.choice('qos', QOS_CHOICES) ?? 0,
    retain: args.has('retain'),
    ...(properties === undefined ? {} : { properties: toPacket(properties) }),
  };
}

type PublishOne = (payload: Buffer) => Promise<void>;

/** Publishes one after the other, at most `window` unacknowledged; resolves when all are. */
async function publishAll(
  publishOne: PublishOne,
  payloads: AsyncIterable<Buffer>,
  window: number,
): Promise<void> {
  const waiting = new Set<Promise<void>>();
  let failure: CisternError | undefined;
  for await (const payload of payloads) {
    const acknowledged = publishOne(payload).then(
      () => void waiting.delete(acknowledged),
      (error: CisternError) => {
        failure ??= error;
        waiting.delete(acknowledged);
      },
    );
    waiting.add(acknowledged);
    if (waiting.size >= window) await Promise.race(waiting);
    if (failure !== undefined) break;
  }
  await Promise.all(waiting);
  if (failure !== undefined) throw failure;
}

function publishMessage(
  client: MqttClient,
  topic: string,
  payload: Buffer,
  options: IClientPublishOptions,
  acks: AckReasonFilter,
): Promise<void> {
  return new Promise((resolve, reject) => {
    client.publish(topic, payload, options, (error, packet) => {
      if (!error) resolve();
      else {
        const code = acks.take(packet?.messageId ?? 0);
        const why = code === undefined ? describeError(error) : describeReason(code);
        const message = `The broker did not take the message: ${why}.`;
        reject(new CisternError('BROKER_REFUSED', message, { cause: error }));
      }
    });
  });
}

function describeReason(code: number): string {
  const known: Readonly<Record<number, string | undefined>> = ReasonCodes;
  return `${known[code] ?? 'a reason that MQTT does not know'} (0x${code.toString(16)})`;
}
