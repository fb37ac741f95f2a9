import type { Config } from '../config/types.ts';
import type { Environment } from './environment.ts';

/**
 * Takes every address that will be listened on, all at the same time, and lets them go again. So a
 * port that is taken is told at once, before anything is made, and not after the minutes that a
 * large ring takes. Whoever connects within this moment is cut off at once, and until the broker
 * listens for good is refused by the kernel: a device then tries again, instead of waiting for the
 * answer of a broker that is not there yet.
 *
 * Fails with PORT_IN_USE or LISTEN_FAILED.
 */
export async function tryAddresses(config: Config, environment: Environment): Promise<void> {
  const taken: { close(): Promise<void> }[] = [];
  try {
    for (const { listen } of config.listeners) {
      taken.push(await environment.network.listen(listen, (socket) => socket.destroy()));
    }
    taken.push(await environment.http.serve(config.admin.listen, notYet));
  } finally {
    for (const listener of taken) await listener.close();
  }
}

async function notYet() {
  return { status: 503, contentType: 'text/plain; charset=utf-8', body: 'starting\n' };
}
