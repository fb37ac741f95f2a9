import { expect, test } from 'vitest';
import { errorsOf, load } from './load-toml.ts';

/** The example of the configuration contract, whole. */
const EXAMPLE = `
[node]
id = "gw-0042"                      # default: made once, kept in the data directory
[storage]
path = "/var/lib/cistern"
size = "1GiB"                       # the ring; preallocated
segment = "4MiB"
max_commit_window = "500ms"
on_failure = "refuse"               # refuse | memory: when flash cannot be written. refuse: QoS >= 1 bound for flash is not acked (5.0: 0x97)
allow_cow = false
[storage.wear]
budget = "4GiB/day"                 # or endurance = "30TB" and lifetime = "5y"
[admin]
listen = "127.0.0.1:9883"           # beyond loopback: token required
token = "file:/etc/cistern/admin-token"
[log]
level = "info"
format = "auto"                     # auto | json | text
[auth]
password_file = "/etc/cistern/passwd"
acl_file = "/etc/cistern/acl"
jwt = { jwks_file = "…", issuer = "…", audience = "…", username_claim = "sub", acl_claim = "acl" }
[limits]                            # packet_size connections connection_rate inflight session_queue_messages session_queue_bytes session_expiry_max
session_expiry_max = "7d"           # subscriptions_per_client topic_levels topic_bytes retained_messages retained_bytes output_buffer
[[listener]]
listen = "0.0.0.0:8883"
protocol = "mqtt"                   # mqtt | ws | mqtt-sn
path = "/mqtt"                      # ws
anonymous = false
proxy_protocol = false
auth = { password_file = "…" }      # overrides [auth]
[listener.tls]
cert = "…"
key = "…"
ca = "…"
require_client_cert = false
user_name_from = "cn"               # cn | san
min_version = "1.2"
[[stream]]
name = "telemetry"
topics = ["sensors/#"]
exclude = ["sensors/+/debug"]
min_qos = 0
partitions = 4
key = "topic"                       # topic | client | property:NAME
quota = "512MiB"
max_age = "7d"
when_full = "drop_oldest"           # drop_oldest | reject | block
ack = "flash"                       # flash | memory
[[uplink]]
name = "cloud"
streams = ["telemetry"]             # default: all
start = "earliest"                  # earliest | latest, when it has no cursor yet
drain = "ordered"                   # ordered | live_first
priority = ["alarms", "telemetry"]
rate_limit = "500msg/s"
bandwidth = "64KiB/s"
max_age = "30d"
active = "00:00-24:00"
stall_timeout = "30s"
batch = { records = 500, bytes = "256KiB", linger = "50ms" }
backoff = { base = "1s", cap = "60s" }
dead_letter = { attempts = 5, quota = "16MiB" }
[uplink.kafka]                      # or [uplink.rabbitmq] [uplink.mqtt] [uplink.nats]
brokers = ["k1:9092"]
topic = "{stream}"                  # templates: {node} {stream} {partition} {topic} {topic[n]} {client_id} {property:NAME}
key = "{topic}"
delivery = "exactly_once"           # exactly_once | at_least_once
checkpoint_topic = "cistern"        # required where topic is a template
compression = "zstd"
tls = { ca = "…", cert = "…", key = "…", server_name = "…" }
sasl = { mechanism = "SCRAM-SHA-512", username = "…", password = "env:KAFKA_PASSWORD" }
# [uplink.rabbitmq] url exchange routing_key mode="confirm|stream" stream unroutable="stall|dead_letter"
# [uplink.mqtt]     url version qos topic retain client_id keep_alive username password downlink=[{filter, topic, qos}]
# [uplink.nats]     servers subject credentials
`;

/** The contract's example without what this version refuses. */
function withoutRefused(): string {
  const refused = /^(rate_limit|bandwidth|max_age = "30d"|active)(?= |$| =)/;
  const lines = EXAMPLE.split('\n').filter((line) => !refused.test(line));
  const text = lines.join('\n');
  return text.replace(
    /\[uplink\.kafka\][^]*$/,
    'mqtt = { url = "mqtt://h", version = 5, qos = 1 }',
  );
}

test('what this version lacks of it is refused, line by line, and nothing else is', async () => {
  const found = await errorsOf(EXAMPLE);
  expect(found.map((each) => /: error: (.*)\n/.exec(each)?.[1])).toEqual(
    [
      'uplink[0].rate_limit',
      'uplink[0].bandwidth',
      'uplink[0].max_age',
      'uplink[0].active',
      'uplink[0].kafka',
    ].map((key) => `${key}: is not in this version yet`),
  );
});

test('the rest of it means what it says', async () => {
  const { config } = await load(withoutRefused());
  expect(config).toMatchObject({
    node: { id: 'gw-0042' },
    storage: {
      path: '/var/lib/cistern',
      sizeBytes: 2 ** 30,
      segmentSizeBytes: 2 ** 22,
      maxCommitWindowMs: 500,
      onFailure: 'refuse',
      allowCow: false,
      wear: { budgetBytesPerDay: 2 ** 32 },
    },
    admin: {
      listen: '127.0.0.1:9883',
      token: { kind: 'file', path: '/etc/cistern/admin-token' },
    },
    log: { level: 'info', format: 'auto' },
    limits: { sessionExpiryMaxMs: 604_800_000 },
    listeners: [
      {
        listen: '0.0.0.0:8883',
        protocol: 'mqtt',
        anonymous: false,
        proxyProtocol: false,
        tls: { cert: '…', key: '…', ca: '…', requireClientCert: false, userNameFrom: 'cn' },
      },
    ],
    streams: [
      {
        name: 'telemetry',
        topics: ['sensors/#'],
        exclude: ['sensors/+/debug'],
        minQos: 0,
        partitions: 4,
        key: { by: 'topic' },
        quotaBytes: 512 * 2 ** 20,
        maxAgeMs: 604_800_000,
        whenFull: 'drop_oldest',
        ack: 'flash',
      },
    ],
    uplinks: [
      {
        name: 'cloud',
        streams: ['telemetry'],
        start: 'earliest',
        drain: 'ordered',
        priority: ['alarms', 'telemetry'],
        stallTimeoutMs: 30_000,
        batch: { records: 500, bytes: 262_144, lingerMs: 50 },
        backoff: { baseMs: 1000, capMs: 60_000 },
        deadLetter: { attempts: 5, quotaBytes: 16 * 2 ** 20 },
        target: { type: 'mqtt', url: 'mqtt://h', version: 5, qos: 1 },
      },
    ],
  });
});
