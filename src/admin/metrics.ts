import type { UplinkState, UplinkStatus } from '../uplink/types.ts';
import type { Status } from './status.ts';

/** Prometheus text format 0.0.4. */
export const METRICS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string | number>>;
type Sample = readonly [labels: Labels, value: number | null];

const UPLINK_STATES: readonly UplinkState[] = [
  'connected',
  'backoff',
  'stalled',
  'paused',
  'disabled',
];

/** The status as metrics. What is null in the status is absent here: Prometheus has no null. */
export function formatMetrics(status: Status): string {
  const page = new MetricsPage();
  addNode(page, status);
  addRing(page, status);
  addWear(page, status);
  addStreams(page, status);
  addUplinks(page, status.uplinks);
  return page.text();
}

class MetricsPage {
  readonly #lines: string[] = [];

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    this.#add('gauge', name, help, samples);
  }

  /** The name ends in `_total`. */
  counter(name: string, help: string, samples: readonly Sample[]): void {
    this.#add('counter', name, help, samples);
  }

  text(): string {
    return `${this.#lines.join('\n')}\n`;
  }

  #add(type: string, name: string, help: string, samples: readonly Sample[]): void {
    const told = samples.filter(([, value]) => value !== null);
    if (told.length === 0) return;
    this.#lines.push(`# HELP cistern_${name} ${help}`, `# TYPE cistern_${name} ${type}`);
    for (const [labels, value] of told) {
      this.#lines.push(`cistern_${name}${formatLabels(labels)} ${value}`);
    }
  }
}

function formatLabels(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function escapeLabel(value: string | number): string {
  return String(value).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

const single = (value: number | null): readonly Sample[] => [[{}, value]];

function addNode(page: MetricsPage, { node, alarms, listeners, clients, messages }: Status): void {
  page.gauge('info', 'Which gateway and version this is; always 1.', [
    [{ id: node.id, lineage: node.lineage, version: node.version }, 1],
  ]);
  page.gauge('uptime_seconds', 'Since the process started.', single(node.uptimeSeconds));
  page.gauge(
    'clock_trusted',
    'Whether the wall clock is believed.',
    single(node.clockTrusted ? 1 : 0),
  );
  page.gauge(
    'alarms',
    'Alarms by code.',
    [...new Set(alarms.map(({ code }) => code))].map((code) => [
      { code },
      alarms.filter((alarm) => alarm.code === code).length,
    ]),
  );
  page.gauge(
    'listener_connections',
    'Open connections.',
    listeners.map(({ protocol, address, connections }) => [{ protocol, address }, connections]),
  );
  page.gauge('clients_connected', 'Clients that are connected.', single(clients.connected));
  page.gauge(
    'sessions',
    'Sessions, those of connected clients included.',
    single(clients.sessions),
  );
  page.counter(
    'logins_refused_total',
    'Logins that were refused.',
    Object.entries(clients.refusedLogins).map(([reason, count]) => [{ reason }, count]),
  );
  page.counter(
    'connections_turned_away_total',
    'Connections that were not taken, or did not get as far as MQTT.',
    Object.entries(clients.turnedAway).map(([reason, count]) => [{ reason }, count]),
  );
  page.counter('messages_received_total', 'PUBLISH packets accepted.', single(messages.received));
  page.counter('messages_delivered_total', 'PUBLISH packets sent.', single(messages.delivered));
  page.counter(
    'messages_memory_only_total',
    'Messages for flash that were taken while it could not be written.',
    single(messages.memoryOnly),
  );
  page.counter(
    'messages_dropped_total',
    'Messages that a policy dropped.',
    Object.entries(messages.dropped).map(([reason, count]) => [{ reason }, count]),
  );
}

function addRing(page: MetricsPage, { ring }: Status): void {
  page.gauge('ring_size_bytes', 'The preallocated ring.', single(ring.sizeBytes));
  page.gauge('ring_used_bytes', 'Of it, in segments that hold records.', single(ring.usedBytes));
  page.gauge('ring_segments', 'Segments that hold records.', single(ring.segments));
  page.gauge('ring_epoch', 'Segments ever opened.', single(ring.epoch));
  page.gauge('ring_retired_slots', 'Slots set aside as bad.', single(ring.retiredSlots));
  page.gauge(
    'ring_recovery_seconds',
    'How long the last start took to recover the ring.',
    single(ring.recovery.durationMs / 1000),
  );
  page.gauge(
    'ring_recovery_torn_records',
    'Records cut off at the tail by the last start.',
    single(ring.recovery.tornRecords),
  );
  page.gauge(
    'ring_recovery_corrupt_records',
    'Records that the last start found damaged before the tail.',
    single(ring.recovery.corruptRecords),
  );
}

function addWear(page: MetricsPage, { wear }: Status): void {
  page.counter('wear_payload_bytes_total', 'Handed to the ring.', single(wear.payloadBytes));
  page.counter('wear_flash_bytes_total', 'Written to flash by us.', single(wear.flashBytes));
  page.counter('wear_carried_bytes_total', 'Of it, carried forward.', single(wear.carriedBytes));
  page.counter(
    'wear_checkpoint_bytes_total',
    'Of it, for checkpoints.',
    single(wear.checkpointBytes),
  );
  page.counter('wear_device_bytes_total', 'By the device itself.', single(wear.deviceBytes));
  page.counter('wear_flushes_total', 'Flushes of the device by us.', single(wear.flushes));
  page.gauge('wear_amplification', 'Flash bytes by payload bytes.', single(wear.amplification));
  page.gauge(
    'wear_budget_bytes_per_day',
    'Device bytes a day that are allowed.',
    single(wear.budgetBytesPerDay),
  );
  page.gauge(
    'wear_bytes_per_day',
    'Flash bytes of a day like the last one.',
    single(wear.bytesPerDay),
  );
  page.gauge(
    'wear_token_bytes',
    'Device bytes the budget has in hand; negative: a debt.',
    single(wear.tokenBytes),
  );
  page.gauge('wear_bucket_bytes', 'As many as it can have in hand.', single(wear.bucketBytes));
  page.gauge('wear_ring_laps', 'How often the ring has been written.', single(wear.laps));
  page.gauge(
    'wear_commit_window_seconds',
    'Least time between two commits now.',
    single(wear.commitWindowMs / 1000),
  );
  page.gauge('wear_years_left', "Of the device, at today's rate.", single(wear.yearsLeft));
  page.gauge(
    'wear_flash_used_share',
    'Of the life of each kind of flash in the eMMC, at most.',
    (wear.device?.usedShares ?? []).map((share, index) => [{ kind: 'AB'.charAt(index) }, share]),
  );
}

function addStreams(page: MetricsPage, { streams }: Status): void {
  const partitions = streams.flatMap(({ name, partitions: all }) =>
    all.map((partition) => ({ labels: { stream: name, partition: partition.id }, partition })),
  );
  page.gauge(
    'stream_head_offset',
    'Oldest offset kept.',
    partitions.map(({ labels, partition }) => [labels, partition.headOffset]),
  );
  page.gauge(
    'stream_tail_offset',
    'Next offset to be written.',
    partitions.map(({ labels, partition }) => [labels, partition.tailOffset]),
  );
  page.gauge(
    'stream_durable_offset',
    'Everything below it is on flash.',
    partitions.map(({ labels, partition }) => [labels, partition.durableOffset]),
  );
  page.gauge(
    'stream_bytes',
    'Of the records kept, uncompressed.',
    partitions.map(({ labels, partition }) => [labels, partition.bytes]),
  );
  page.gauge(
    'stream_quota_bytes',
    'As configured.',
    streams.map(({ name, quotaBytes }) => [{ stream: name }, quotaBytes]),
  );
  page.gauge(
    'stream_quota_used_bytes',
    'Of the quota: what is kept or, of streams that reject or block, not yet sent.',
    streams.map(({ name, quotaUsedBytes }) => [{ stream: name }, quotaUsedBytes]),
  );
  page.counter(
    'stream_dropped_total',
    'Records that a policy dropped.',
    streams.flatMap(({ name, dropped }) =>
      Object.entries(dropped).map(([reason, count]): Sample => [{ stream: name, reason }, count]),
    ),
  );
}

function addUplinks(page: MetricsPage, uplinks: readonly UplinkStatus[]): void {
  const of = (pick: (uplink: UplinkStatus) => number | null): readonly Sample[] =>
    uplinks.map((uplink) => [{ uplink: uplink.name }, pick(uplink)]);
  page.gauge(
    'uplink_state',
    '1 for the state the uplink is in.',
    uplinks.flatMap((uplink) =>
      UPLINK_STATES.map(
        (state): Sample => [
          { uplink: uplink.name, type: uplink.type, state },
          state === uplink.state ? 1 : 0,
        ],
      ),
    ),
  );
  const backlog = 'Not yet acknowledged upstream';
  page.gauge(
    'uplink_backlog_records',
    `${backlog}.`,
    of((each) => each.backlogRecords),
  );
  page.gauge(
    'uplink_backlog_bytes',
    `${backlog}.`,
    of((each) => each.backlogBytes),
  );
  page.gauge(
    'uplink_oldest_unacked_seconds',
    'Age of the oldest of them.',
    of((each) => each.oldestUnackedSeconds),
  );
  page.gauge(
    'uplink_send_rate',
    'Records a second.',
    of((each) => each.sendRate),
  );
  page.gauge(
    'uplink_drain_eta_seconds',
    'Until the backlog is gone, at this rate.',
    of((each) => each.drainEtaSeconds),
  );
  const since = "since the uplink's start offset.";
  page.counter(
    'uplink_appended_records_total',
    `Written ${since}`,
    of((each) => each.appendedRecords),
  );
  page.counter(
    'uplink_acknowledged_records_total',
    `Acknowledged upstream ${since}`,
    of((each) => each.acknowledgedRecords),
  );
  page.counter(
    'uplink_sent_records_total',
    'Sent.',
    of((each) => each.sentRecords),
  );
  page.counter(
    'uplink_retried_records_total',
    'Sent again.',
    of((each) => each.retriedRecords),
  );
  page.counter(
    'uplink_duplicates_avoided_total',
    'Found upstream already, and not sent again.',
    of((each) => each.duplicatesAvoided),
  );
  page.counter(
    'uplink_dead_lettered_total',
    `Given up as undeliverable ${since}`,
    of((each) => each.deadLettered),
  );
  page.counter(
    'uplink_lapped_records_total',
    `Overwritten before they were sent ${since}`,
    of((each) => each.lappedRecords),
  );
  page.counter(
    'uplink_expired_records_total',
    `Too old to be sent ${since}`,
    of((each) => each.expiredRecords),
  );
}
