import type { ListenerConfig, LimitsConfig } from '../config/types.ts';
import type { Listener, ListenOptions } from '../platform/network.ts';
import type { Condition } from './alarms.ts';
import type { Reloadable } from './reloads.ts';

/** Bytes of a fixed header: with them the largest packet fits one WebSocket message. */
const FIXED_HEADER_BYTES = 5;

/** What a listener has between TCP and MQTT. */
export function listenOptionsOf(
  { protocol, path, proxyProtocol, tls }: ListenerConfig,
  { packetSizeBytes }: LimitsConfig,
): ListenOptions {
  const maxMessageBytes = packetSizeBytes + FIXED_HEADER_BYTES;
  return {
    proxyProtocol,
    tls,
    webSocket: protocol === 'ws' ? { path, maxMessageBytes } : undefined,
  };
}

/** As the status has it: `mqtt`, `mqtts`, `ws` or `wss`. */
export function protocolOf({ protocol, tls }: ListenerConfig): string {
  return tls === undefined ? protocol : `${protocol}s`;
}

/** The certificate of a listener, to be followed; undefined where it has none. */
export function certificateOf(config: ListenerConfig, listener: Listener): Reloadable | undefined {
  const { tls } = listener;
  if (config.tls === undefined || tls === undefined) return undefined;
  const { cert, key, ca } = config.tls;
  return {
    name: `the certificate of ${listener.address}`,
    files: ca === undefined ? [cert, key] : [cert, key, ca],
    reload: () => tls.reload(),
  };
}

/** Certificates that clients refuse by now. */
export function endedCertificates(
  listeners: readonly { readonly listener: Listener }[],
  wallMs: number,
): Condition[] {
  return listeners.flatMap(({ listener: { address, tls } }) =>
    tls === undefined || tls.certificateEndsMs > wallMs
      ? []
      : [
          {
            code: 'tls.certificate_ended',
            message: `The certificate of ${address} has ended by this machine's clock, so clients refuse it.`,
          },
        ],
  );
}
