export interface Address {
  /** Without the brackets of an IPv6 host. */
  readonly host: string;
  readonly port: number;
}

/**
 * Takes `host:port`, `[v6]:port` or `:port` apart; the last one is every address of this machine,
 * host `::`. Undefined where the text is none of them.
 */
export function splitAddress(address: string): Address | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] || '::'), port };
}

/** Whether only this machine can reach the address. */
export function isLoopback(address: string): boolean {
  return isLoopbackHost(splitAddress(address)?.host ?? '');
}

export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Whether it stands for every address of this machine, of its family or of both. */
export function isEveryHost(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
