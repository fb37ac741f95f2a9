import type { Config } from '../config/types.ts';
import type { Environment } from './environment.ts';

/**
 * Tries every address that will be listened on. So a port that is taken is told at once, before
 * anything is made, and not after the minutes that a large ring takes. Nobody can connect meanwhile:
 * until the broker listens for good the kernel refuses, and a device tries again, instead of waiting
 * for the answer of a broker that is not there yet.
 *
 * Fails with PORT_IN_USE or LISTEN_FAILED.
 */
export async function tryAddresses(config: Config, { network }: Environment): Promise<void> {
  for (const { listen } of config.listeners) await network.tryAddress(listen);
  await network.tryAddress(config.admin.listen);
}
