import type { IssueLog } from './table-reader.ts';

interface NotYet {
  /** Path without indices, such as `listener.tls`. */
  readonly key: string;
  /** Only for these values; absent: whatever the value. */
  readonly when?: (value: unknown) => boolean;
  /**
   * `refused`: going on without it would break what the user counts on. `ignored`: the broker works
   * as it would without the key, so a warning is enough.
   */
  readonly effect: 'refused' | 'ignored';
  readonly remedy: string;
}

const isOneOf =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);

const NO_LIMIT = 'Take the key out: the uplink then sends as fast as its target acknowledges.';
const MQTT_ONLY = 'Until then use [uplink.mqtt], or a broker there that forwards.';

/** Every key of the contract that this version does not act on. A later version deletes its row. */
const ROWS: readonly NotYet[] = [
  {
    key: 'listener.protocol',
    when: isOneOf('mqtt-sn'),
    effect: 'refused',
    remedy: 'Write "mqtt" or "ws", or take the key out.',
  },
  {
    key: 'uplink.drain',
    when: isOneOf('live_first'),
    effect: 'refused',
    remedy: 'Write "ordered", or take the key out.',
  },
  {
    key: 'uplink.priority',
    effect: 'ignored',
    remedy: 'Until then all streams of an uplink have the same priority.',
  },
  { key: 'uplink.rate_limit', effect: 'refused', remedy: NO_LIMIT },
  { key: 'uplink.bandwidth', effect: 'refused', remedy: NO_LIMIT },
  {
    key: 'uplink.max_age',
    effect: 'refused',
    remedy: 'Take the key out: the uplink then sends all that the ring still holds.',
  },
  {
    key: 'uplink.active',
    effect: 'refused',
    remedy: 'Take the key out: the uplink then sends at any hour.',
  },
  {
    key: 'uplink.dead_letter.quota',
    effect: 'ignored',
    remedy: 'Until then a record that no attempt could deliver is counted, logged and skipped.',
  },
  { key: 'uplink.kafka', effect: 'refused', remedy: MQTT_ONLY },
  { key: 'uplink.rabbitmq', effect: 'refused', remedy: MQTT_ONLY },
  { key: 'uplink.nats', effect: 'refused', remedy: MQTT_ONLY },
  {
    key: 'uplink.mqtt.url',
    when: (value) => typeof value === 'string' && value.startsWith('mqtts:'),
    effect: 'refused',
    remedy:
      'Write mqtt:// and lead it through a tunnel (WireGuard, ssh) where it leaves your network.',
  },
  {
    key: 'uplink.mqtt.tls',
    effect: 'refused',
    remedy: 'Take the key out, and lead the link through a tunnel where it leaves your network.',
  },
  {
    key: 'uplink.mqtt.downlink',
    effect: 'refused',
    remedy: 'Take the key out: this version sends up only.',
  },
];

/**
 * Says of every key in the document that this version knows but does not act on: an error, or a
 * warning where it is harmless. Nothing is ignored in silence.
 */
export function reportNotYet(document: Readonly<Record<string, unknown>>, issues: IssueLog): void {
  for (const row of ROWS) {
    for (const found of find(document, row.key.split('.'), '')) {
      if (row.when && !row.when(found.value)) continue;
      const what = row.when ? `${JSON.stringify(found.value)} is` : 'is';
      if (row.effect === 'refused') {
        issues.error(found.path, `${what} not in this version yet`, row.remedy);
      } else {
        issues.warning(found.path, `${what} not in this version yet and has no effect`, row.remedy);
      }
    }
  }
}

function find(
  value: unknown,
  keys: readonly string[],
  path: string,
): { path: string; value: unknown }[] {
  const [key, ...rest] = keys;
  if (key === undefined) return [{ path, value }];
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return [];
  const child: unknown = Object.entries(value).find(([name]) => name === key)?.[1];
  const childPath = path === '' ? key : `${path}.${key}`;
  if (rest.length > 0 && Array.isArray(child)) {
    return child.flatMap((element, index) => find(element, rest, `${childPath}[${index}]`));
  }
  return find(child, rest, childPath);
}
