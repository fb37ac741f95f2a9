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
}

const LINEAGE_BYTES = 8;

/**
 * The identity kept in the state, or a new one. A new lineage is drawn where offsets may be given
 * out again under the old one: the card was cloned to another machine, or recovery cannot prove
 * that the tail it found is complete.
 */
export async function takeIdentity(
  configuredId: string | undefined,
  { state, ring, tailLost }: Pick<Storage, 'state' | 'ring' | 'tailLost'>,
  environment: Environment,
): Promise<Identity> {
  const key = stateKey('identity');
  const stored = state.get(key) as StoredIdentity | undefined;
  const machineId = await environment.machineId();
  const { random, logger } = environment;
  const isCloned = stored !== undefined && stored.machineId !== machineId;
  const isUncertain = ring.recovery.tailUncertain || tailLost;
  const keepsLineage = stored !== undefined && !isCloned && !isUncertain;
  const identity: Identity = {
    nodeId: configuredId ?? stored?.nodeId ?? `cistern-${toHex(random.bytes(4))}`,
    lineage: keepsLineage ? stored.lineage : toHex(random.bytes(LINEAGE_BYTES)),
  };
  const isSame = stored?.nodeId === identity.nodeId && stored.lineage === identity.lineage;
  if (!isSame || isCloned) {
    if (stored !== undefined && !keepsLineage) {
      const reason = isCloned ? 'the data came from another machine' : 'the tail is uncertain';
      logger.warn('identity.new_lineage', { reason, lineage: identity.lineage });
    }
    state.put(key, { ...identity, machineId } satisfies StoredIdentity);
  }
  return identity;
}
