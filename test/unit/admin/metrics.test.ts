import { expect, test } from 'vitest';
import { formatMetrics } from '../../../src/admin/metrics.ts';
import { exampleStatus } from './example-status.ts';

/** The samples of a page, by their name with labels. */
function samples(page: string): Map<string, number> {
  const found = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    found.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}

test('every line is a comment or a sample that Prometheus can read', () => {
  const name = '[a-z_]+';
  const labels = `\\{${name}="(?:[^"\\\\\\n]|\\\\["\\\\n])*"(?:,${name}="(?:[^"\\\\\\n]|\\\\["\\\\n])*")*\\}`;
  const sample = new RegExp(`^cistern_${name}(?:${labels})? -?[0-9.e+]+$`);
  const comment = new RegExp(
    `^# (?:HELP cistern_${name} .+|TYPE cistern_${name} (?:gauge|counter))$`,
  );
  const page = formatMetrics(exampleStatus());
  expect(page.endsWith('\n')).toBe(true);
  const strange = page
    .trimEnd()
    .split('\n')
    .filter((line) => !sample.test(line) && !comment.test(line));
  expect(strange).toEqual([]);
});

test('figures carry their labels and base units', () => {
  const found = samples(formatMetrics(exampleStatus()));
  expect(found.get('cistern_uplink_backlog_records{uplink="cloud"}')).toBe(400);
  expect(found.get('cistern_uplink_state{uplink="cloud",type="mqtt",state="backoff"}')).toBe(1);
  expect(found.get('cistern_uplink_state{uplink="cloud",type="mqtt",state="connected"}')).toBe(0);
  expect(found.get('cistern_ring_recovery_seconds')).toBe(0.042);
  expect(found.get('cistern_stream_durable_offset{stream="default",partition="0"}')).toBe(1005);
  expect(found.get('cistern_messages_dropped_total{reason="qos0_pressure"}')).toBe(7);
});

test('what is not known is absent, not zero', () => {
  const page = formatMetrics(exampleStatus());
  expect(page).not.toContain('cistern_wear_device_bytes_total');
  expect(page).not.toContain('cistern_uplink_drain_eta_seconds');
  const told = { ...exampleStatus().wear, deviceBytes: 5 };
  const known = formatMetrics({ ...exampleStatus(), wear: told });
  expect(samples(known).get('cistern_wear_device_bytes_total')).toBe(5);
});

test('no series is there twice, whatever the alarms', () => {
  const alarm = exampleStatus().alarms[0]!;
  const page = formatMetrics({ ...exampleStatus(), alarms: [alarm, { ...alarm, message: 'b' }] });
  const names = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const series = names.map((line) => line.slice(0, line.lastIndexOf(' ')));
  expect(new Set(series).size).toBe(series.length);
  expect(samples(page).get('cistern_alarms{code="UPSTREAM_UNREACHABLE"}')).toBe(2);
});

test('a label cannot break out of its quotes', () => {
  const status = exampleStatus();
  const node = { ...status.node, id: 'a"b\\c\nd' };
  expect(formatMetrics({ ...status, node })).toContain('id="a\\"b\\\\c\\nd"');
});
