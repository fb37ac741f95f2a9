import { KAFKA_TARGET_DEFAULTS, MQTT_TARGET_DEFAULTS } from './defaults.ts';
import type { Parsed, Parser } from './parsers.ts';
import {
  anyText,
  bad,
  choice,
  duration,
  good,
  listOf,
  secret,
  show,
  topicFilter,
  url,
} from './parsers.ts';
import type { TableReader } from './table-reader.ts';
import type {
  ClientTlsConfig,
  DownlinkConfig,
  KafkaTargetConfig,
  MqttTargetConfig,
  NatsTargetConfig,
  RabbitmqTargetConfig,
  SaslConfig,
  UplinkTarget,
} from './types.ts';

const MAX_DOWNLINK_FILTERS = 64;

const READERS = {
  mqtt: readMqtt,
  kafka: readKafka,
  rabbitmq: readRabbitmq,
  nats: readNats,
} as const;
type TargetType = keyof typeof READERS;
const TYPES: readonly TargetType[] = ['mqtt', 'kafka', 'rabbitmq', 'nats'];

/** Where an uplink leads: exactly one of its tables `mqtt`, `kafka`, `rabbitmq`, `nats`. */
export function readTarget(uplink: TableReader): UplinkTarget {
  const found = TYPES.filter((type) => uplink.has(type));
  const [type, second] = found;
  if (type === undefined) {
    uplink.issues.error(
      uplink.path,
      'has no target',
      'Add [uplink.mqtt] with url = "mqtt://host:1883" below it.',
    );
  }
  if (second !== undefined) {
    uplink.issues.error(
      uplink.keyPath(second),
      `stands beside ${found[0]}`,
      'Give each target an [[uplink]] of its own: each has its own cursor.',
    );
  }
  const table = type && uplink.optionalTable(type);
  return type && table ? READERS[type](table) : NO_TARGET;
}

/** Stands for a target that is missing or not a table; the error is reported, nothing uses this. */
const NO_TARGET: MqttTargetConfig = {
  type: 'mqtt',
  url: '',
  ...MQTT_TARGET_DEFAULTS,
  clientId: undefined,
  username: undefined,
  password: undefined,
  downlink: [],
  tls: undefined,
};

const mqttVersion: Parser<4 | 5> = (value) => {
  if (value === 5 || value === '5' || value === '5.0') return good(5);
  if (value === 4 || value === '3.1.1') return good(4);
  return bad(`${show(value)} is not a possible value`, 'Write version = 5 or version = "3.1.1".');
};

const TEMPLATE_FIELD =
  /^(node|stream|partition|topic|topic\[\d{1,3}:?\]|client_id|property:[^{}]+)$/;

/** Text with placeholders in braces. */
const template: Parser<string> = (value) => {
  const text = anyText(value);
  if (!text.ok) return text;
  const rest = text.value.replace(/\{([^{}]*)\}/g, (whole, field: string) =>
    TEMPLATE_FIELD.test(field) ? '' : whole,
  );
  const wrong = /\{[^{}]*\}?|\}/.exec(rest);
  if (!wrong) return text;
  return bad(
    `${show(wrong[0])} is not a placeholder`,
    'Possible: {node} {stream} {partition} {topic} {topic[0]} {topic[1:]} {client_id} {property:NAME}.',
  );
};

/** A template of a topic to publish to, which has no wildcards [MQTT-3.3.2-2]. */
const topicTemplate: Parser<string> = (value) => {
  const parsed = template(value);
  if (!parsed.ok) return parsed;
  const wrong = /[+#\0]/.exec(parsed.value.replace(/\{[^{}]*\}/g, ''));
  if (!wrong) return parsed;
  return bad(
    `${show(parsed.value)} has ${show(wrong[0])} in it, and nothing can be published there`,
    'Write "{topic}" where the topic of the message is to stand, such as "site/{topic}".',
  );
};

const retain: Parser<'keep' | boolean> = (value) =>
  typeof value === 'boolean' || value === 'keep'
    ? good(value)
    : bad(`${show(value)} is not a possible value`, 'Write true, false or "keep".');

function readMqtt(table: TableReader): MqttTargetConfig {
  const defaults = MQTT_TARGET_DEFAULTS;
  const target: MqttTargetConfig = {
    type: 'mqtt',
    url: table.required(
      'url',
      url(['mqtt', 'mqtts'], ['mqtt']),
      '',
      'Write url = "mqtt://host:1883".',
    ),
    version: table.value('version', mqttVersion, defaults.version),
    qos: table.value('qos', choice([1, 2]), defaults.qos),
    topic: table.value('topic', topicTemplate, defaults.topic),
    retain: table.value('retain', retain, defaults.retain),
    clientId: table.optional('client_id', anyText),
    // MQTT 3.1.2.10: the longest keep alive is 65,535 s; 0 would let a dead link live for ever.
    keepAliveMs: table.value(
      'keep_alive',
      duration({ min: 1000, max: 65_535_000 }),
      defaults.keepAliveMs,
    ),
    username: table.optional('username', secret),
    password: table.optional('password', secret),
    downlink: table.tables('downlink', { max: MAX_DOWNLINK_FILTERS }).map(readDownlink),
    tls: readClientTls(table),
  };
  table.finish();
  // MQTT-3.1.2-22: in 3.1.1 a password needs a user name.
  if (target.password !== undefined && target.username === undefined && !table.has('username')) {
    table.issues.error(
      table.keyPath('username'),
      'is missing beside password',
      'Write the user name that the password belongs to.',
    );
  }
  return target;
}

function readDownlink(table: TableReader): DownlinkConfig {
  const downlink: DownlinkConfig = {
    filter: table.required('filter', topicFilter, '', 'Name the topics to subscribe to upstream.'),
    topic: table.value('topic', template, '{topic}'),
    qos: table.value('qos', choice([0, 1, 2]), 1),
  };
  table.finish();
  return downlink;
}

function readKafka(table: TableReader): KafkaTargetConfig {
  const defaults = KAFKA_TARGET_DEFAULTS;
  const sasl = table.optionalTable('sasl');
  const target: KafkaTargetConfig = {
    type: 'kafka',
    brokers: table.required('brokers', listOf(hostAndPort), [], 'Write brokers = ["host:9092"].'),
    topic: table.value('topic', template, defaults.topic),
    key: table.value('key', template, defaults.key),
    delivery: table.value('delivery', choice(['exactly_once', 'at_least_once']), defaults.delivery),
    checkpointTopic: table.optional('checkpoint_topic', anyText),
    compression: table.value(
      'compression',
      choice(['none', 'gzip', 'snappy', 'lz4', 'zstd']),
      defaults.compression,
    ),
    tls: readClientTls(table),
    sasl: sasl && readSasl(sasl),
  };
  table.finish();
  return target;
}

const hostAndPort: Parser<string> = (value): Parsed<string> =>
  typeof value === 'string' && /^[^\s/@]+:\d{1,5}$/.test(value)
    ? good(value)
    : bad(`expected host and port, found ${show(value)}`, 'Write "host:9092".');

function readSasl(table: TableReader): SaslConfig {
  const sasl: SaslConfig = {
    mechanism: table.required(
      'mechanism',
      choice(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512']),
      'SCRAM-SHA-512',
      'Write mechanism = "SCRAM-SHA-512".',
    ),
    username: table.required('username', secret, NO_SECRET, 'Write the user name.'),
    password: table.required('password', secret, NO_SECRET, 'Write password = "file:PATH".'),
  };
  table.finish();
  return sasl;
}

const NO_SECRET = { kind: 'literal', value: '' } as const;

function readRabbitmq(table: TableReader): RabbitmqTargetConfig {
  const target: RabbitmqTargetConfig = {
    type: 'rabbitmq',
    // As a secret: an AMQP URL has the password in it.
    url: table.required('url', secret, NO_SECRET, 'Write url = "file:PATH" or "env:NAME".'),
    exchange: table.value('exchange', anyText, 'amq.topic'),
    routingKey: table.value('routing_key', template, '{topic}'),
    mode: table.value('mode', choice(['confirm', 'stream']), 'confirm'),
    stream: table.optional('stream', template),
    unroutable: table.value('unroutable', choice(['stall', 'dead_letter']), 'stall'),
    tls: readClientTls(table),
  };
  table.finish();
  return target;
}

function readNats(table: TableReader): NatsTargetConfig {
  const target: NatsTargetConfig = {
    type: 'nats',
    servers: table.required(
      'servers',
      listOf(anyText),
      [],
      'Write servers = ["nats://host:4222"].',
    ),
    subject: table.value('subject', template, '{topic}'),
    credentials: table.optional('credentials', secret),
    tls: readClientTls(table),
  };
  table.finish();
  return target;
}

function readClientTls(parent: TableReader): ClientTlsConfig | undefined {
  const table = parent.optionalTable('tls');
  if (!table) return undefined;
  const tls: ClientTlsConfig = {
    ca: table.optional('ca', anyText),
    cert: table.optional('cert', anyText),
    key: table.optional('key', anyText),
    serverName: table.optional('server_name', anyText),
  };
  table.finish();
  return tls;
}
