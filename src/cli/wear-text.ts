import type { DeviceStatus, Status, WearStatus } from '../admin/status.ts';
import { describeSize } from '../config/units.ts';
import { duration, inYears, payload, percent, plural, row } from './text-parts.ts';

/** What the flash is given, for people. What is not known is said in words, never as 0. */
export function formatWear({ alarms, node, ring, wear }: Status): string {
  const { carriedBytes, payloadBytes } = wear;
  const lines = [
    `${node.id}   cistern ${node.version}   up ${duration(node.uptimeSeconds)}`,
    ...alarms
      .filter(({ code }) => code.startsWith('wear.'))
      .map(({ code, sinceSeconds, message }) => {
        return `ALARM ${code}, for ${duration(sinceSeconds)}: ${message}`;
      }),
    '',
    row('budget', `${describeSize(wear.budgetBytesPerDay)} a day`),
    row(
      'rate',
      wear.bytesPerDay === null
        ? 'not known in the first minute'
        : `${describeSize(wear.bytesPerDay)} a day, by the last 24 hours or what there is of them`,
    ),
    row('in hand', `${inHand(wear)}; ${commits(wear)}`),
    row(
      'written',
      `${describeSize(wear.flashBytes)} for ${payload(wear)}, ${plural(wear.flushes, 'flush', 'flushes')}`,
    ),
    row('checkpoint', `${describeSize(wear.checkpointBytes)} of it`),
    row(
      'carried',
      `${describeSize(carriedBytes)} written again so that rotation keeps it, ` +
        `${percent(carriedBytes, carriedBytes + payloadBytes)} of all records' bytes`,
    ),
    row('ring', `${describeSize(ring.sizeBytes)}, written ${wear.laps} times since it was made`),
    row('will last', years(wear)),
    ...formatDevice(wear),
  ];
  return `${lines.join('\n')}\n`;
}

function inHand({ tokenBytes, bucketBytes }: WearStatus): string {
  const of = describeSize(bucketBytes);
  if (tokenBytes < 0) return `nothing, and a debt of ${describeSize(-tokenBytes)} (at most ${of})`;
  return `${describeSize(tokenBytes)} of ${of}`;
}

function commits({ commitWindowMs }: WearStatus): string {
  if (commitWindowMs === 0) return 'a commit waits for nothing';
  return `commits of a page are ${commitWindowMs} ms apart`;
}

function years({ device, yearsLeft, bytesPerDay }: WearStatus): string {
  if (yearsLeft !== null) return `${inYears(yearsLeft)} at this rate`;
  if (bytesPerDay === null) return 'not known in the first minute';
  if (bytesPerDay === 0) return 'nothing is written';
  const why =
    device === null || device.usedShares === null
      ? 'the device does not tell its endurance'
      : 'the file system does not tell what was written for the wear so far';
  return `not known: ${why}; set endurance and lifetime in [storage.wear]`;
}

function formatDevice({ device, deviceBytes }: WearStatus): string[] {
  if (device === null) {
    return [
      row('device', 'not to be seen from here: the file system has no block device of its own'),
    ];
  }
  const { name, disk, writtenBytes } = device;
  const place = name === disk ? name : `${name} on ${disk}`;
  const counted =
    writtenBytes === null || deviceBytes === null
      ? 'tells no writes'
      : `${describeSize(deviceBytes)} written by whomever since the gateway started, ` +
        `${describeSize(writtenBytes)} since the machine did`;
  return [row('device', `${place}: ${counted}`), row('its flash', flash(device))];
}

function flash({ preEndOfLife, usedShares }: DeviceStatus): string {
  if (usedShares === null) return 'tells no wear (an eMMC does)';
  const used = usedShares.map((share) =>
    share > 1 ? 'more than it was made for' : `at most ${Math.round(share * 100)} %`,
  );
  const reserve = preEndOfLife === null ? '' : `; reserved blocks: ${preEndOfLife}`;
  return `of its life is used: ${used.join(', ')}${reserve}`;
}
