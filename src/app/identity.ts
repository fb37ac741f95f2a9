import { toHex } from '../base/hex.ts';
import { stateKey } from '../metadata/state-codec.ts';
import type { Environment } from './environment.ts';
import type { Storage } from './storage.ts';

/** Who this gateway is to an upstream. */
export interface Identity {
  readonly nodeId: string;
  /** 64 random bits, as hexadecimal. With the node's id it names one life of one ring. */
  readonly lineage: string;
}

interface StoredIdentity extends Identity {
  readonly machineId: string | undefined;
  /** Of the data directory; undefined where that does not tell, and in data of earlier versions. */
  readonly directoryId?: string | undefined;
}

const LINEAGE_BYTES = 8;
/** File systems on which a directory keeps its inode. */
const KEEP_INODES = ['ext3', 'ext4', 'xfs', 'f2fs', 'btrfs'];

/**
 * The identity kept in the state, or a new one. A new lineage is drawn where offsets may be given
 * out again under the old one: the card was cloned to another machine, the directory copied on this
 * one (the original may go on, and a backup goes on from the past), or recovery cannot prove that the
 * tail it found is complete.
 */
export async function takeIdentity(
  configuredId: string | undefined,
  { state, ring, place, tailLost }: Pick<Storage, 'state' | 'ring' | 'place' | 'tailLost'>,
  environment: Environment,
): Promise<Identity> {
  const key = stateKey('identity');
  const stored = state.get(key) as StoredIdentity | undefined;
  const machineId = await environment.machineId();
  const directoryId = KEEP_INODES.includes(place.fileSystem?.type ?? '')
    ? await environment.directoryId(place.dataPath)
    : undefined;
  const { random, logger } = environment;
  const isCloned = stored !== undefined && stored.machineId !== machineId;
  const isCopied = directoryId !== (stored?.directoryId ?? directoryId);
  const isUncertain = ring.recovery.tailUncertain || tailLost;
  const keepsLineage = stored !== undefined && !isCloned && !isCopied && !isUncertain;
  const identity: Identity = {
    nodeId: configuredId ?? stored?.nodeId ?? `cistern-${toHex(random.bytes(4))}`,
    lineage: keepsLineage ? stored.lineage : toHex(random.bytes(LINEAGE_BYTES)),
  };
  const isSame = stored?.nodeId === identity.nodeId && stored.lineage === identity.lineage;
  if (!isSame || isCloned || stored.directoryId !== directoryId) {
    if (stored !== undefined && !keepsLineage) {
      const { nodeId, lineage } = identity;
      const reason = isCloned
        ? 'the data came from another machine'
        : isCopied
          ? 'the data directory is a copy'
          : 'the tail is uncertain';
      const meaning =
        isCloned || isCopied
          ? 'Where the other one is still in use, give each a node.id of its own.'
          : undefined;
      logger.warn('identity.new_lineage', { reason, nodeId, lineage, meaning });
    }
    state.put(key, { ...identity, machineId, directoryId } satisfies StoredIdentity);
  }
  return identity;
}
