import { toHex } from '../../base/hex.ts';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { CisternError } from '../../base/errors.ts';
import { formatIsoTime } from '../../base/iso-time.ts';
import { describeSize } from '../../config/units.ts';
import { decodeMessageAttributes } from '../../codec/stored-message.ts';
import { nodeCompressor, nodeCrc32 } from '../../platform/node/compression.ts';
import { openNodeVolume } from '../../platform/node/volume.ts';
import { dumpRing, type LeftOut } from '../../ring/dump.ts';
import type { BootTimes } from '../../ring/event-time.ts';
import { type InspectedRing, type InspectedSegment, inspectRing } from '../../ring/inspect.ts';
import { type InspectOptions, surveyRing } from '../../ring/survey.ts';
import { FIRST_STREAM_PARTITION_ID, type RecordView } from '../../ring/types.ts';
import type { Arguments } from '../arguments.ts';
import { bootTimesOf } from '../boot-times.ts';
import type { Command } from '../command.ts';
import { ExitCode } from '../exit-code.ts';
import type { CliIo } from '../io.ts';
import { ShownRecords } from '../shown-records.ts';

export const logCommand: Command = {
  spec: {
    name: 'log',
    summary: 'look into the ring of a data directory, without changing it',
    usage: '{inspect | verify | dump} DIR [OPTION …]',
    options: {
      json: { help: 'One JSON document a line.' },
      stream: { value: 'NAME', help: 'dump: only records of this stream.' },
    },
    positionals: { min: 2, max: 2 },
    notes: [
      'inspect  a line for each segment: what it is, how full, and what is wrong with it\n' +
        'verify   checks every checksum, and that no segment is missing; ends with 4 where something is\n' +
        '         wrong. A commit that a power cut has cut short is not: it was not acknowledged\n' +
        'dump     every message in the ring once, oldest segment first; ends with 4 where damage took some,\n' +
        '         and says how much it left out. A time with a question mark is a guess: the clock was not\n' +
        '         right yet, and nobody has said since what it should have shown',
      'DIR is the data directory. A gateway may be running on it, but then what it writes meanwhile may\n' +
        'look damaged: stop it for a verdict.',
    ],
    examples: [
      { command: 'cistern log inspect ./cistern-data', why: 'how full it is' },
      { command: 'cistern log verify /var/lib/cistern', why: 'after a bad night' },
      {
        command: 'cistern log dump /var/lib/cistern --stream telemetry --json | tail -5',
        why: 'what came last',
      },
    ],
  },
  async run(args, io) {
    const [action, directory = ''] = args.positionals;
    switch (action) {
      case 'inspect':
        return inspect(await openRingFolder(directory), args, io);
      case 'verify':
        return verify(await openRingFolder(directory), args, io);
      case 'dump':
        return dump(await openRingFolder(directory), directory, args, io);
      default:
        throw args.usageError(`"${action}" is not one of inspect, verify, dump`);
    }
  },
};

/** The ring of a data directory. Looks first: opening a volume would make what is not there. */
async function openRingFolder(directory: string): Promise<InspectOptions> {
  const path = join(directory, 'ring');
  try {
    await readdir(path);
  } catch (cause) {
    throw new CisternError('DATA_UNSUITABLE', `There is no ring in ${directory}.`, {
      cause,
      remedy: 'Name the data directory, as in --data or storage.path.',
    });
  }
  const volume = await openNodeVolume(path);
  return { volume, crc32: nodeCrc32, compressor: nodeCompressor };
}

async function inspect(options: InspectOptions, args: Arguments, io: CliIo): Promise<ExitCode> {
  let free = 0;
  const ring = await inspectRing(options);
  for (const segment of ring.segments) {
    if (args.has('json')) io.stdout.write(`${JSON.stringify(segment)}\n`);
    else if (segment.state === 'free' && segment.damage.length === 0) free++;
    else io.stdout.write(describeSegment(segment));
  }
  if (args.has('json')) return ExitCode.ok;
  if (free > 0) io.stdout.write(`${free} slots free\n`);
  for (const sentence of lossOf(ring)) io.stdout.write(`! ${sentence}\n`);
  return ExitCode.ok;
}

function describeSegment(segment: InspectedSegment): string {
  const { slot, epoch, state, batches, records, usedBytes, partitions } = segment;
  const place = `slot ${String(slot).padStart(4)}  epoch ${String(epoch).padStart(6)}  ${state.padEnd(7)}`;
  const held = `${records} records in ${batches} batches, ${describeSize(usedBytes)}`;
  const lines = [
    state === 'live' ? `${place}  ${held}` : place.trimEnd(),
    ...(state === 'live' ? partitions : []).map(
      ({ id, stream, firstOffset, lastOffset, records: count }) =>
        `    ${stream} (partition id ${id}): ${count} records, offsets ${firstOffset} to ${lastOffset}`,
    ),
    ...segment.damage.map((sentence) => `    ! ${sentence}`),
    ...segment.cutShort.map((sentence) => `    ${sentence}`),
  ];
  return `${lines.join('\n')}\n`;
}

async function verify(options: InspectOptions, args: Arguments, io: CliIo): Promise<ExitCode> {
  const isJson = args.has('json');
  const say = (document: object, text: string): void =>
    void io.stdout.write(isJson ? `${JSON.stringify(document)}\n` : `${text}\n`);
  let segments = 0;
  let records = 0;
  let findings = 0;
  let cutShort = 0;
  const ring = await inspectRing(options);
  for (const segment of ring.segments) {
    const { slot, epoch, state } = segment;
    if (state === 'live') {
      segments++;
      records += segment.records;
    }
    findings += segment.damage.length;
    cutShort += segment.cutShort.length;
    const sentences = [...segment.damage, ...segment.cutShort];
    if (sentences.length === 0) continue;
    const { damage, cutShort: cut } = segment;
    const text = sentences.map((sentence) => `slot ${slot}: ${sentence}`).join('\n');
    say({ slot, epoch, state, damage, cutShort: cut }, text);
  }
  const loss = lossOf(ring);
  findings += loss.length;
  const isLost = segments === 0;
  const lost = 'No segment is live: the ring was never finished, or has lost everything.';
  if (isLost) findings++;
  const sum = `${plural(records, 'record')} in ${plural(segments, 'live segment')}`;
  const verdict = `: every ${cutShort === 0 ? '' : 'other '}checksum is right.`;
  const end = `${sum}${findings === 0 ? verdict : `, ${plural(findings, 'finding')}.`}`;
  const { lost: offsets } = ring;
  const text = [...loss, ...(isLost ? [lost] : []), end].join('\n');
  say({ records, segments, findings, lost: offsets }, text);
  return findings === 0 ? ExitCode.ok : ExitCode.data;
}

/** One sentence, or none. */
function lossOf({ lost }: InspectedRing): string[] {
  const ranges = lost.map(
    ({ id, stream, firstOffset, lastOffset }) =>
      `${stream} (partition id ${id}) ${firstOffset} to ${lastOffset}`,
  );
  return ranges.length === 0 ? [] : [`Offsets lost: ${ranges.join(', ')}.`];
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

async function dump(
  options: InspectOptions,
  directory: string,
  args: Arguments,
  io: CliIo,
): Promise<ExitCode> {
  const { streams } = await surveyRing(options);
  const wanted = args.text('stream');
  const ids = new Set<number>();
  const times = await bootTimesOf(noting(ids, dumpRing(options)));
  const held = new Set([...ids].map((id) => streams.get(id) ?? '?'));
  if (wanted !== undefined && !held.has(wanted)) {
    throw noSuchStream(wanted, directory, new Map([...streams].filter(([id]) => ids.has(id))));
  }
  const shown = new ShownRecords();
  const leftOut = { segment: 0, place: 0 };
  const onLeftOut = (what: LeftOut, count: number): void => void (leftOut[what] += count);
  for await (const record of dumpRing(options, onLeftOut)) {
    if (!shown.add(record)) continue;
    const stream = streams.get(record.partitionId) ?? '?';
    const isMessage = record.partitionId >= FIRST_STREAM_PARTITION_ID;
    if (wanted === undefined ? !isMessage : stream !== wanted) continue;
    const format = args.has('json') ? recordJson : recordText;
    io.stdout.write(`${format(record, stream, times)}\n`);
  }
  if (leftOut.segment + leftOut.place === 0) return ExitCode.ok;
  const what = `${plural(leftOut.segment, 'segment')} and ${plural(leftOut.place, 'damaged place')}`;
  io.stderr.write(
    `cistern log: left out ${what} that cannot be read; see "cistern log verify ${directory}".\n`,
  );
  return ExitCode.data;
}

async function* noting(
  ids: Set<number>,
  records: AsyncIterable<RecordView>,
): AsyncGenerator<RecordView> {
  for await (const record of records) {
    ids.add(record.partitionId);
    yield record;
  }
}

function noSuchStream(
  wanted: string,
  directory: string,
  streams: ReadonlyMap<number, string>,
): CisternError {
  const ids = [...streams.keys()].filter((id) => id >= FIRST_STREAM_PARTITION_ID);
  const names = [...new Set(ids.map((id) => streams.get(id)))].join(', ');
  const message = `cistern log: the ring in ${directory} has no record of a stream "${wanted}"`;
  return new CisternError('USAGE', message, {
    remedy: `Streams with records: ${names === '' ? 'none' : names}.`,
  });
}

/** A time that is a guess has a question mark. */
function recordText(record: RecordView, stream: string, times: BootTimes): string {
  const isKnown = times.wallMs(record.time) !== undefined;
  const time = `${formatIsoTime(times.estimateMs(record.time))}${isKnown ? '' : '?'}`;
  const text = readText(record.payload);
  const payload = text === undefined ? `0x${toHex(record.payload)}` : JSON.stringify(text);
  return `${stream} ${record.partitionId}/${record.offset} ${time} ${record.topic} ${payload}`;
}

function recordJson(record: RecordView, stream: string, times: BootTimes): string {
  const { partitionId, offset, sequence, carried, time, topic, origin, payload } = record;
  const text = readText(payload);
  const isMessage = partitionId >= FIRST_STREAM_PARTITION_ID;
  const message = isMessage ? decodeMessageAttributes(record.attributes) : undefined;
  return JSON.stringify({
    stream,
    partitionId,
    offset,
    sequence,
    time: formatIsoTime(times.estimateMs(time)),
    timeTrusted: times.wallMs(time) !== undefined,
    carried,
    topic,
    origin,
    ...(message && { qos: message.qos, retain: message.retain }),
    ...(text === undefined ? { payloadHex: toHex(payload) } : { payload: text }),
  });
}

/** The payload as text, where it is UTF-8. */
function readText(payload: Uint8Array): string | undefined {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(payload);
  return text.includes('\ufffd') ? undefined : text;
}
