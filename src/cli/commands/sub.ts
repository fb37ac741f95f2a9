import type { IPublishPacket, MqttClient } from 'mqtt';
import { CisternError } from '../../base/errors.ts';
import { filterProblem } from '../../config/topic-filter.ts';
import { topicMatchesFilter } from '../../codec/topic.ts';
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
import { compileFormat, type ShownMessage } from '../message-format.ts';

const RECONNECT_MS = 1000;
/** Reason codes from here on are refusals (2.4); 0x80 is the one of 3.1.1. */
const FIRST_FAILURE = 0x80;

export const subCommand: Command = {
  spec: {
    name: 'sub',
    summary: 'print messages, with the options of mosquitto_sub',
    usage: '-t FILTER [-t FILTER …] [OPTION …]',
    options: {
      topic: { value: 'FILTER', short: 't', help: 'What to subscribe to; may be repeated.' },
      'filter-out': { value: 'FILTER', short: 'T', help: 'Topics not to print; may be repeated.' },
      unsubscribe: { value: 'FILTER', short: 'U', help: 'Unsubscribe from; may be repeated.' },
      verbose: { short: 'v', help: 'Print the topic before the message.' },
      format: { value: 'FORMAT', short: 'F', help: 'How to print; see below.' },
      'no-newline': { short: 'N', help: 'No line break after a message.' },
      count: { value: 'COUNT', short: 'C', help: 'End after so many messages.' },
      timeout: { value: 'SECONDS', short: 'W', help: 'End after so many seconds, with code 27.' },
      exit: { short: 'E', help: 'End once the subscriptions are acknowledged.' },
      'no-retained': { short: 'R', help: 'Do not print messages that were retained before.' },
      'retained-only': { help: 'Print those only, and end at the first other one.' },
      'remove-retained': { help: 'Remove the retained messages that come.' },
      ...CLIENT_OPTIONS,
    },
    positionals: { min: 0, max: 0 },
    notes: [
      'Format: %t topic, %p payload, %x and %X payload in hexadecimal, %l length, %q QoS, %r retained,\n' +
        '%m packet id, %I time, %U seconds since 1970, %j JSON, %J JSON with a JSON payload, and of\n' +
        '5.0: %A %C %D %E %F %P %R %S as in mosquitto_sub; \\n, \\t, %%.',
      'Once connected it connects again when the link breaks. Ctrl-C ends it with 0.',
      CLIENT_NOTE,
    ],
    examples: [
      { command: "cistern sub -t '#' -v", why: 'everything, with its topic' },
      { command: "cistern sub -t 'sensors/+/temperature' -C 10", why: 'ten measurements' },
      {
        command: "cistern sub -t 'jobs/#' -i worker-1 -c -q 1 -F '%I %t %p'",
        why: 'with a session that keeps messages while we are away',
      },
    ],
  },
  run: subscribe,
};

async function subscribe(args: Arguments, io: CliIo): Promise<ExitCode> {
  const filters = readFilters(args, 'topic', readUrl(args)?.topic);
  const unsubscribed = readFilters(args, 'unsubscribe');
  if (filters.length === 0 && unsubscribed.length === 0) {
    throw args.usageError('-t names no topic');
  }
  const end = createEnd();
  const onMessage = createPrinter(args, io, end.with);
  const timeoutSeconds = args.number('timeout', { min: 1, max: 31_536_000 });
  io.onSignal(() => end.with(ExitCode.ok));
  const client = await openClient(await readClientOptions(args, io), args, io, (fresh) => {
    fresh.on('message', (topic, payload, packet) => onMessage(fresh, topic, payload, packet));
  });
  client.options.reconnectPeriod = RECONNECT_MS;
  client.on('offline', () => warn(args, io, 'The connection broke; trying again.'));
  // Counted from here on, as in mosquitto_sub: the time is for messages, not for the way there.
  if (timeoutSeconds !== undefined) {
    void io.sleep(timeoutSeconds * 1000).then(() => end.with(ExitCode.timeout));
  }
  const isDone = args.has('exit') || filters.length === 0;
  const listen = async (): Promise<ExitCode> => {
    await subscribeAll(client, filters, args, io);
    if (unsubscribed.length > 0) await client.unsubscribeAsync([...unsubscribed]);
    return isDone ? ExitCode.ok : await end.reached;
  };
  try {
    return await Promise.race([untilProtocolFault(client), listen()]);
  } finally {
    await closeClient(client, readProperties(args).get('disconnect'));
  }
}

function readFilters(args: Arguments, option: string, also?: string): readonly string[] {
  const filters = also === undefined ? args.texts(option) : [...args.texts(option), also];
  for (const filter of filters) {
    const problem = filterProblem(filter);
    if (problem !== undefined) {
      throw args.usageError(`"${filter}" is not a topic filter: ${problem}`);
    }
  }
  return filters;
}

/** How the command ends: by whichever asks first. */
function createEnd(): { reached: Promise<ExitCode>; with(code: ExitCode): void } {
  let finish: (code: ExitCode) => void = () => undefined;
  const reached = new Promise<ExitCode>((resolve) => {
    finish = resolve;
  });
  return { reached, with: (code) => finish(code) };
}

type OnMessage = (
  client: MqttClient,
  topic: string,
  payload: Buffer,
  packet: IPublishPacket,
) => void;

function createPrinter(args: Arguments, io: CliIo, end: (code: ExitCode) => void): OnMessage {
  const verbose = args.has('verbose') ? '%t %p' : '%p';
  const format = compileFormat(args.text('format') ?? verbose);
  if (!format) throw args.usageError(`the format "${args.text('format')}" has an unknown field`);
  const lineEnd = args.has('no-newline') ? '' : '\n';
  const filteredOut = readFilters(args, 'filter-out');
  let left = args.number('count', { min: 1, max: 1e15 }) ?? Number.POSITIVE_INFINITY;
  return (client, topic, payload, packet) => {
    if (left === 0) return;
    if (args.has('no-retained') && packet.retain) return;
    if (args.has('retained-only') && !packet.retain) {
      left = 0;
      end(ExitCode.ok);
      return;
    }
    if (filteredOut.some((filter) => topicMatchesFilter(topic, filter))) return;
    io.stdout.write(format(toShown(topic, payload, packet, io.clock.wallMs())));
    io.stdout.write(lineEnd);
    if (args.has('remove-retained') && packet.retain) client.publish(topic, '', { retain: true });
    left--;
    // Not in this turn: MQTT.js acknowledges the message when this handler has returned.
    if (left === 0) io.clock.atTurnEnd(() => end(ExitCode.ok));
  };
}

function toShown(
  topic: string,
  payload: Buffer,
  packet: IPublishPacket,
  wallMs: number,
): ShownMessage {
  return {
    topic,
    payload,
    qos: packet.qos,
    retain: packet.retain,
    packetId: packet.messageId ?? 0,
    wallMs,
    properties: packet.properties ?? {},
  };
}

async function subscribeAll(
  client: MqttClient,
  filters: readonly string[],
  args: Arguments,
  io: CliIo,
): Promise<void> {
  if (filters.length === 0) return;
  const qos = args.choice('qos', QOS_CHOICES) ?? 0;
  const properties = readProperties(args).get('subscribe');
  const options = properties === undefined ? { qos } : { qos, properties: toPacket(properties) };
  const refused = await new Promise<{ filter: string; code: number }[]>((resolve, reject) => {
    client.subscribe([...filters], options, (error, granted) => {
      const codes = (granted ?? []).map(({ topic, qos: code }) => ({ filter: topic, code }));
      const failures = codes.filter(({ code }) => code >= FIRST_FAILURE);
      if (error && failures.length === 0) reject(refusal(describeError(error), error));
      else resolve(failures);
    });
  });
  const list = refused.map(({ filter, code }) => `"${filter}" (0x${code.toString(16)})`).join(', ');
  if (refused.length === filters.length) throw refusal(list, undefined);
  if (refused.length > 0) warn(args, io, `The broker refused a subscription: ${list}.`);
}

function refusal(what: string, cause: unknown): CisternError {
  return new CisternError('BROKER_REFUSED', `The broker refused the subscription: ${what}.`, {
    cause,
    remedy: 'Check the filter, and what this user may read.',
  });
}

function warn(args: Arguments, io: CliIo, text: string): void {
  if (!args.has('quiet')) io.stderr.write(`${text}\n`);
}
