import { filterProblem } from '../topic-filter.ts';
import type { ConfLine } from './conf-lines.ts';
import type { BridgeTopic } from './model.ts';

/**
 * Reads `topic pattern [[[out|in|both] qos] local-prefix remote-prefix]`, where `""` is empty. What
 * is wrong with it is a sentence instead.
 */
export function parseBridgeTopic({ at, value }: ConfLine): BridgeTopic | string {
  const words = [...value.matchAll(/"([^"]*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
  const [pattern, direction = 'out', qos = '0', localPrefix = '', remotePrefix = ''] = words;
  if (pattern === undefined) return 'It takes a topic filter.';
  if (direction !== 'out' && direction !== 'in' && direction !== 'both') {
    return 'The direction is out, in or both.';
  }
  if (!/^[012]$/.test(qos)) return 'The QoS is 0, 1 or 2.';
  if (/[+#]/.test(localPrefix + remotePrefix)) return 'A prefix has no "+" and no "#".';
  if (pattern === '' && (localPrefix === '' || remotePrefix === '')) {
    return 'An empty pattern needs a prefix on both sides.';
  }
  for (const filter of [localPrefix + pattern, remotePrefix + pattern]) {
    const problem = filterProblem(filter);
    if (problem !== undefined) return `It gives a topic filter that is none: ${problem}.`;
  }
  return { at, pattern, direction, qos: Number(qos), localPrefix, remotePrefix };
}

/** How the messages of one side become those of the other. */
export interface Remap {
  /** What to follow, or to subscribe to. */
  readonly filter: string;
  /** Template of the topic on the other side; undefined where none says it. */
  readonly template: string | undefined;
}

/** `from` is taken off the front of a topic, and `to` put there. */
export function remap(pattern: string, from: string, to: string): Remap {
  const filter = from + pattern;
  // A brace would begin a placeholder, and there is no way to write one that does not.
  const template = /[{}]/.test(to) ? undefined : templateOf(pattern, from, to);
  // "a/#" takes "a" too, of which nothing is left without "a/": Mosquitto sends it on as it is.
  const isCut = pattern === '#' && template?.includes(':]}') === true;
  return { filter: isCut ? `${from}+/#` : filter, template };
}

function templateOf(pattern: string, from: string, to: string): string | undefined {
  if (to.endsWith(from)) return `${to.slice(0, to.length - from.length)}{topic}`;
  if (from.endsWith('/') && pattern !== '') return `${to}{topic[${from.split('/').length - 1}:]}`;
  return /[+#]/.test(pattern) || /[{}]/.test(pattern) ? undefined : to + pattern;
}
