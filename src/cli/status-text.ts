import type { DropCounts, Status } from '../admin/status.ts';
import { describeSize } from '../config/units.ts';
import type { UplinkStatus } from '../uplink/types.ts';
import { count, duration, payload, percent, plural, row } from './text-parts.ts';

/** The status on one screen, for people. */
export function formatStatus(status: Status): string {
  const { node, clients, messages, ring, wear } = status;
  const lines = [
    `${node.id}   cistern ${node.version}   up ${duration(node.uptimeSeconds)}   lineage ${node.lineage}`,
    ...status.alarms.map(
      ({ code, sinceSeconds, message }) =>
        `ALARM ${code}, for ${duration(sinceSeconds)}: ${message}`,
    ),
    ...(node.clockTrusted
      ? []
      : ['The time is not known yet: ages count only the time that the power is on.']),
    '',
    ...status.listeners.map(({ protocol, address, connections }) =>
      row('listener', `${protocol} ${address}, ${plural(connections, 'connection')}`),
    ),
    row(
      'clients',
      `${count(clients.connected)} connected, ${plural(clients.sessions, 'session')}` +
        unlessNone(clients.refusedLogins, 'login refused', 'logins refused') +
        unlessNone(clients.turnedAway, 'connection turned away', 'connections turned away'),
    ),
    row(
      'messages',
      `${count(messages.received)} received, ${count(messages.delivered)} delivered, ${drops(messages.dropped, ' dropped')}`,
    ),
    row(
      'ring',
      `${describeSize(ring.usedBytes)} of ${describeSize(ring.sizeBytes)} used, ` +
        `${plural(ring.segments, 'segment')}, ${plural(ring.retiredSlots, 'retired slot')}`,
    ),
    row(
      'last start',
      `${count(ring.recovery.durationMs)} ms, ${count(ring.recovery.tornRecords)} torn and ` +
        `${count(ring.recovery.corruptRecords)} corrupt records`,
    ),
    row(
      'flash',
      `${describeSize(wear.flashBytes)} written for ${payload(wear)}, ` +
        `${plural(wear.flushes, 'flush', 'flushes')}`,
    ),
    '',
    ...table([
      ['STREAM', 'WHEN FULL', 'QUOTA', 'USED', 'DROPPED'],
      ...status.streams.map(({ name, whenFull, quotaBytes, quotaUsedBytes, dropped }) => [
        name,
        whenFull,
        quotaBytes === null ? 'none' : describeSize(quotaBytes),
        quotaBytes === null ? '-' : percent(quotaUsedBytes ?? 0, quotaBytes),
        drops(dropped),
      ]),
    ]),
    '',
    ...table([
      ['STREAM', 'PARTITION', 'HEAD', 'TAIL', 'DURABLE', 'KEPT'],
      ...status.streams.flatMap(({ name, partitions }) =>
        partitions.map(({ id, headOffset, tailOffset, durableOffset, bytes }) => [
          name,
          String(id),
          count(headOffset),
          count(tailOffset),
          count(durableOffset),
          describeSize(bytes),
        ]),
      ),
    ]),
    '',
    ...formatUplinks(status.uplinks),
  ];
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function formatUplinks(uplinks: readonly UplinkStatus[]): string[] {
  if (uplinks.length === 0) return ['no uplink: messages stay in the ring'];
  const rows = uplinks.map((uplink) => [
    uplink.name,
    uplink.state,
    `${count(uplink.backlogRecords)} (${describeSize(uplink.backlogBytes)})`,
    duration(uplink.oldestUnackedSeconds),
    `${count(Number(uplink.sendRate.toFixed(uplink.sendRate < 10 ? 1 : 0)))}/s`,
    uplink.drainEtaSeconds === null ? '-' : duration(uplink.drainEtaSeconds),
    count(uplink.acknowledgedRecords),
    count(uplink.lappedRecords + uplink.deadLettered + uplink.expiredRecords),
  ]);
  const errors = uplinks.flatMap(({ name, lastError }) =>
    lastError === null ? [] : [`${name}: ${lastError}`],
  );
  return [
    ...table([
      ['UPLINK', 'STATE', 'BACKLOG', 'OLDEST', 'RATE', 'DRAINED IN', 'ACKED', 'GIVEN UP'],
      ...rows,
    ]),
    ...errors,
  ];
}

/** The first two columns to the left, figures to the right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((cells) => (cells[column] ?? '').length)),
  );
  return rows.map((cells) =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return column < 2 ? cell.padEnd(width) : cell.padStart(width);
      })
      .join('  '),
  );
}

function unlessNone(counts: DropCounts, one: string, many: string): string {
  const sum = total(counts);
  return sum === 0 ? '' : `, ${drops(counts, ` ${sum === 1 ? one : many}`)}`;
}

function total(counts: DropCounts): number {
  return Object.values(counts).reduce((sum, value) => sum + value, 0);
}

function drops(dropped: DropCounts, word = ''): string {
  const reasons = Object.entries(dropped).filter(([, value]) => value > 0);
  const sum = total(dropped);
  const list = reasons.map(([reason, value]) => `${reason} ${count(value)}`).join(', ');
  return sum === 0 ? `0${word}` : `${count(sum)}${word} (${list})`;
}
