import { isEveryHost, isLoopbackHost, splitAddress } from '../base/address.ts';
import type { IssueLog } from './table-reader.ts';
import type { Config } from './types.ts';

const DEFAULT_MQTT_PORT = 1883;

interface Place {
  readonly key: string;
  /** How it is spoken of in a message about another one. */
  readonly owner: string;
  readonly listen: string;
}

/** Who says where the listeners are: an option of the command line, the file, or nobody. */
export type ListenersFrom = '--listen' | 'file' | 'default';

/** Refuses two places that cannot both be listened on. */
export function reportAddressClashes(
  { listeners, admin }: Pick<Config, 'listeners' | 'admin'>,
  from: ListenersFrom,
  issues: IssueLog,
): void {
  const places = listeners.map(({ listen }, index): Place => {
    const key = from === '--listen' ? from : `listener[${index}].listen`;
    const owner = { '--listen': from, file: `listener[${index}]`, default: 'the default listener' };
    return { key, owner: owner[from], listen };
  });
  places.push({ key: 'admin.listen', owner: 'admin.listen', listen: admin.listen });
  const known = places.filter(({ key }) => !issues.hasErrorAt(key));
  known.forEach(({ key, listen }, index) => {
    const before = known.slice(0, index).find((other) => clash(other.listen, listen));
    if (before === undefined) return;
    const where = before.listen === listen ? '' : ` (${before.listen})`;
    const remedy = 'Give each listener an address of its own.';
    issues.error(key, `${listen} is taken by ${before.owner}${where}`, remedy);
  });
}

/** Refuses an uplink that leads to this broker itself: what it sends would come back, for ever. */
export function reportLoops(
  { listeners, uplinks }: Pick<Config, 'listeners' | 'uplinks'>,
  issues: IssueLog,
): void {
  uplinks.forEach(({ target }, index) => {
    if (target.type !== 'mqtt' || !URL.canParse(target.url)) return;
    const { hostname, port } = new URL(target.url);
    const there = `${hostname}:${port === '' ? DEFAULT_MQTT_PORT : port}`;
    const own = listeners.find(({ listen }) => isReachedBy(listen, there));
    if (own === undefined) return;
    issues.error(
      `uplink[${index}].mqtt.url`,
      `${target.url} is this gateway's own listener (${own.listen}): all would come back`,
      'Name the broker that the messages are to go up to.',
    );
  });
}

/** Whether one who connects from this machine to `there` comes to the listener. */
export function isReachedBy(listen: string, there: string): boolean {
  const [a, b] = [splitAddress(listen), splitAddress(there)];
  if (a === undefined || b === undefined || a.port !== b.port || a.port === 0) return false;
  return sameHost(a.host, b.host) || (isEveryHost(a.host) && isLoopbackHost(b.host));
}

/** Port 0 is any free one, so it is never taken. */
export function clash(one: string, other: string): boolean {
  const [a, b] = [splitAddress(one), splitAddress(other)];
  if (a === undefined || b === undefined || a.port !== b.port || a.port === 0) return false;
  // `::` takes the addresses of both families, 0.0.0.0 those of IPv4 alone.
  if (a.host === '::' || b.host === '::') return true;
  const isV6 = a.host.includes(':') || b.host.includes(':');
  if (!isV6 && (isEveryHost(a.host) || isEveryHost(b.host))) return true;
  return sameHost(a.host, b.host);
}

function sameHost(a: string, b: string): boolean {
  return canonical(a) === canonical(b);
}

/** One spelling for each host. `localhost` may be either loopback; the older one is likelier. */
function canonical(host: string): string {
  const written = host.includes(':') ? `[${host}]` : host;
  const url = `http://${written}/`;
  const { hostname } = URL.canParse(url) ? new URL(url) : { hostname: host.toLowerCase() };
  return hostname === 'localhost' ? '127.0.0.1' : hostname;
}
