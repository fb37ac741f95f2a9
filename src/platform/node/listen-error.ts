import { CisternError } from '../../base/errors.ts';
import { findPortOwner } from './port-owner.ts';

const NOT_OURS = 'Name an address of this machine (`ip address` lists them), or 0.0.0.0 for all.';

const remedies = new Map([
  ['EADDRNOTAVAIL', NOT_OURS],
  ['ENOTFOUND', NOT_OURS],
  ['EAI_AGAIN', NOT_OURS],
  [
    'EACCES',
    'Ports below 1024 are for root alone: choose another one, or give the program the right to it ' +
      '(AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit).',
  ],
]);

/** PORT_IN_USE, with who has the port where it can be told, or LISTEN_FAILED. */
export async function listenError(
  cause: unknown,
  address: string,
  port: number,
  /** What the address is written as, where there is but one. */
  key?: string,
): Promise<CisternError> {
  const error = cause as NodeJS.ErrnoException;
  if (error.code === 'EADDRINUSE') {
    const owner = await findPortOwner(port);
    return new CisternError('PORT_IN_USE', `${address} is taken${owner ? ` by ${owner}` : ''}`, {
      cause,
      remedy: `Stop ${owner ?? 'the other program'}, or listen on another port${key === undefined ? '' : ` (${key})`}.`,
    });
  }
  return new CisternError('LISTEN_FAILED', `cannot listen on ${address}: ${error.message}`, {
    cause,
    remedy: remedies.get(error.code ?? '') ?? 'Listen on another address.',
  });
}
