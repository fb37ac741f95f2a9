import { CisternError } from '../base/errors.ts';
import { STATE_ROOM_BYTES, STATE_ROOM_SHARE, STORAGE_DEFAULTS } from '../config/defaults.ts';
import type { StorageConfig } from '../config/types.ts';
import { describeSize, formatSize } from '../config/units.ts';
import type { DiskSurvey, FileSystemFacts } from '../platform/disk-survey.ts';
import type { Condition } from './alarms.ts';
import { type FileSystemFinding, findingsOf } from './file-system-rules.ts';
import { planRing, type RingPlan } from './ring-plan.ts';

/** Where the ring is, or is going to be. Nothing has been made or changed. */
export interface DataPlace {
  readonly dataPath: string;
  readonly ringPath: string;
  /** Undefined where the system does not tell. */
  readonly fileSystem: FileSystemFacts | undefined;
  readonly plan: RingPlan;
  /** Why a start there is refused. */
  readonly refusal: CisternError | undefined;
  /** What is allowed and should be known nevertheless. */
  readonly warnings: readonly PlaceWarning[];
  readonly copiesOnWrite: boolean;
}

export interface PlaceWarning extends Condition {
  readonly remedy: string;
}

/** Looks at the place that the configuration names: its file system, and the room there is. */
export async function examinePlace(storage: StorageConfig, disks: DiskSurvey): Promise<DataPlace> {
  const dataPath = storage.path;
  const ringPath = `${dataPath}/ring`;
  const fileSystem = await disks.fileSystemOf(ringPath);
  const plan = planRing(await disks.filesIn(ringPath), storage);
  const unusable = await firstRefusal([storage.path, ringPath, `${storage.path}/state`], disks);
  if (fileSystem === undefined) {
    const [refusal, warnings, copiesOnWrite] = [unusable, [], false];
    return { dataPath, ringPath, fileSystem, plan, refusal, warnings, copiesOnWrite };
  }
  const findings = findingsOf(fileSystem);
  const refused = findings.find((finding) => isRefused(finding, storage));
  const state = await disks.filesIn(`${storage.path}/state`);
  const stateBytes = state.reduce((sum, file) => sum + file.allocatedBytes, 0);
  const holes = holesWarning(plan, fileSystem);
  return {
    dataPath,
    ringPath,
    fileSystem,
    plan,
    refusal:
      refused === undefined
        ? (unusable ??
          segmentRefusal(storage, plan) ??
          roomRefusal(storage, plan, fileSystem, stateBytes))
        : placeRefusal(refused, fileSystem),
    warnings: [
      ...findings.map((finding) => warningOf(finding, fileSystem)),
      ...(holes === undefined ? [] : [holes]),
    ],
    copiesOnWrite: findings.some(({ verdict }) => verdict === 'copy_on_write'),
  };
}

/** The folders below may be another user's, who started it once. */
async function firstRefusal(
  directories: readonly string[],
  disks: DiskSurvey,
): Promise<CisternError | undefined> {
  for (const directory of directories) {
    const refusal = await disks.refusalOf(directory);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** One who names no path tries it where he is; one who names it means it to stay. */
function isRefused({ verdict }: FileSystemFinding, storage: StorageConfig): boolean {
  if (verdict !== 'copy_on_write') return verdict === 'refused';
  return storage.path !== STORAGE_DEFAULTS.path && !storage.allowCow;
}

function placeRefusal(finding: FileSystemFinding, fileSystem: FileSystemFacts): CisternError {
  const { verdict, remedy } = finding;
  const consent = 'If it must be there, write allow_cow = true under [storage].';
  return new CisternError('DATA_UNSUITABLE', sentence('would be', finding, fileSystem), {
    remedy: verdict === 'copy_on_write' ? `${remedy} ${consent}` : remedy,
  });
}

function warningOf(finding: FileSystemFinding, fileSystem: FileSystemFacts): PlaceWarning {
  const { code, remedy } = finding;
  return { code, remedy, message: sentence('is', finding, fileSystem) };
}

function sentence(
  verb: string,
  { because }: FileSystemFinding,
  { type, mountPoint }: FileSystemFacts,
): string {
  return `The ring ${verb} on ${type} (${mountPoint}), ${because}.`;
}

function segmentRefusal(
  { segmentSizeBytes }: StorageConfig,
  { otherSegmentBytes }: RingPlan,
): CisternError | undefined {
  if (otherSegmentBytes === undefined) return undefined;
  const [made, wanted] = [formatSize(otherSegmentBytes), formatSize(segmentSizeBytes)];
  return new CisternError(
    'CONFIG_INVALID',
    `The ring was made with segments of ${made}, not ${wanted}, and keeps them.`,
    { remedy: `Set storage.segment to "${made}", or choose a new storage.path.` },
  );
}

/** Beside the ring: LMDB with its copy-on-write pages, and what the checkpoint is put together in. */
function stateRoomFor(ringBytes: number): number {
  return Math.max(STATE_ROOM_BYTES, ringBytes * STATE_ROOM_SHARE);
}

// A ring that is made already needs nothing, however full the disk is; and where nothing can be
// written, that is what the start fails with.
function roomRefusal(
  storage: StorageConfig,
  { unmadeBytes, neededBytes }: RingPlan,
  { freeBytes, mountPoint, options }: FileSystemFacts,
  stateBytes: number,
): CisternError | undefined {
  if (options.includes('ro')) return undefined;
  const { sizeBytes, segmentSizeBytes } = storage;
  const roomBytes = Math.max(0, stateRoomFor(sizeBytes) - stateBytes);
  if (unmadeBytes === 0 || neededBytes + roomBytes <= freeBytes) return undefined;
  const more = neededBytes < sizeBytes ? 'another ' : '';
  // What the ring has already counts as room for it.
  const allBytes = freeBytes + (sizeBytes - neededBytes) + stateBytes;
  const mostBytes = Math.min(allBytes - STATE_ROOM_BYTES, allBytes / (1 + STATE_ROOM_SHARE));
  const slots = Math.floor(mostBytes / segmentSizeBytes);
  const smaller =
    slots >= 16 ? `set storage.size to "${formatSize(slots * segmentSizeBytes)}" or less, or ` : '';
  return new CisternError(
    'DEVICE_FULL',
    `The ring of ${describeSize(sizeBytes)} does not fit: it needs ${more}${describeSize(neededBytes)}, ` +
      `and ${describeSize(roomBytes)} for the broker's state, and ${mountPoint} has ` +
      `${describeSize(freeBytes)} free.`,
    { remedy: sentenceCase(`${smaller}make room there, or choose another storage.path.`) },
  );
}

function sentenceCase(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

/** A copy of a data directory may have holes, and the room for them may be gone when they are written. */
function holesWarning(
  { unmadeBytes, neededBytes }: RingPlan,
  { freeBytes, mountPoint }: FileSystemFacts,
): PlaceWarning | undefined {
  if (unmadeBytes > 0 || neededBytes <= freeBytes) return undefined;
  return {
    code: 'storage.holes',
    message:
      `The files of the ring have holes: ${describeSize(neededBytes)} must still be given by ` +
      `${mountPoint}, which has ${describeSize(freeBytes)} free.`,
    remedy: 'Make room there before the ring is written so far.',
  };
}

/** In one line: where the ring is, what it is on, and what the next start does with its files. */
export function describePlace(place: DataPlace, storage: StorageConfig): string {
  const { ringPath, fileSystem, plan } = place;
  const where =
    fileSystem === undefined
      ? ''
      : `, on ${fileSystem.type} (${fileSystem.mountPoint}) with ${describeSize(fileSystem.freeBytes)} free`;
  return `${ringPath}${where}: ${describePlan(plan, storage)}`;
}

function describePlan(plan: RingPlan, { sizeBytes }: StorageConfig): string {
  const [found, wanted] = [describeSize(plan.foundBytes), describeSize(sizeBytes)];
  switch (plan.kind) {
    case 'makes':
      return `the next start makes the ring, ${wanted}`;
    case 'keeps':
      return `the ring is there, ${wanted}`;
    case 'grows':
      return `there are ${found} of a ring; the next start makes it ${wanted}`;
    case 'shrinks':
      return `the ring has ${found}; the next start shrinks it to ${wanted}, and keeps what fits, the newest first`;
  }
}
