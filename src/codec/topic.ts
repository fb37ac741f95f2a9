const PLUS = 0x2b;
const HASH = 0x23;

/**
 * True where bytes `start` to `end` are well-formed UTF-8 without surrogates [MQTT-1.5.4-1] (3.1.1:
 * [MQTT-1.5.3-1]). U+0000 passes: a payload may hold it, a string may not.
 */
export function isWellFormedUtf8(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    if ((bytes[at] as number) < 0x80) {
      at += 1;
      continue;
    }
    const length = multiByteLength(bytes, at, end);
    if (length === 0) return false;
    at += length;
  }
  return true;
}

/**
 * True for an MQTT string: well-formed UTF-8 without U+0000 [MQTT-1.5.4-2] (3.1.1: [MQTT-1.5.3-2]).
 */
export function isMqttString(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    const byte = bytes[at] as number;
    if (byte === 0) return false;
    if (byte < 0x80) {
      at += 1;
      continue;
    }
    const length = multiByteLength(bytes, at, end);
    if (length === 0) return false;
    at += length;
  }
  return true;
}

/**
 * True where bytes `start` to `end` may be a topic name: an MQTT string of at least one character
 * [MQTT-4.7.3-1] without wildcards [MQTT-3.3.2-2].
 */
export function isValidTopicName(bytes: Uint8Array, start: number, end: number): boolean {
  if (start >= end || end - start > 0xffff) return false;
  let at = start;
  while (at < end) {
    const byte = bytes[at] as number;
    if (byte === 0 || byte === PLUS || byte === HASH) return false;
    if (byte < 0x80) {
      at += 1;
      continue;
    }
    const length = multiByteLength(bytes, at, end);
    if (length === 0) return false;
    at += length;
  }
  return true;
}

/** As {@link isValidTopicName}, for a topic that is a string already. */
export function isValidTopicNameText(topic: string): boolean {
  const bytes = Buffer.from(topic);
  // A lone surrogate has no UTF-8 form and would be sent as another character.
  return topic.isWellFormed() && isValidTopicName(bytes, 0, bytes.length);
}

/**
 * Length of the multi-byte UTF-8 sequence that begins at `at`, or 0 where there is none. Overlong
 * forms, surrogates and code points beyond U+10FFFF are none (Unicode table 3-7).
 */
function multiByteLength(bytes: Uint8Array, at: number, end: number): 0 | 2 | 3 | 4 {
  const lead = bytes[at] as number;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + length > end) return 0;
  const second = bytes[at + 1] as number;
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let i = 2; i < length; i += 1) {
    if (((bytes[at + i] as number) & 0xc0) !== 0x80) return 0;
  }
  return length;
}

/**
 * The string in bytes `start` to `end`, which must be well-formed. A byte order mark stays
 * [MQTT-1.5.4-3].
 */
export function decodeTopic(bytes: Uint8Array, start: number, end: number): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.toString('utf8', start, end);
}

/**
 * True where `#` stands alone in the last level [MQTT-4.7.1-1] (3.1.1: -2) and `+` alone in its
 * level [MQTT-4.7.1-2] (3.1.1: -3), with at least one character [MQTT-4.7.3-1], no U+0000
 * [MQTT-4.7.3-2] and at most 65,535 bytes [MQTT-4.7.3-3]. Says nothing about `$share`: that is the
 * broker's.
 */
export function isValidTopicFilter(filter: string): boolean {
  const { length } = filter;
  if (length === 0 || length > 0xffff) return false;
  if (length > 0x5555 && Buffer.byteLength(filter) > 0xffff) return false;
  for (let i = 0; i < length; i += 1) {
    const code = filter.charCodeAt(i);
    if (code === 0) return false;
    if (code !== PLUS && code !== HASH) continue;
    if (i > 0 && filter[i - 1] !== '/') return false;
    const isLast = i === length - 1;
    if (code === HASH ? !isLast : !isLast && filter[i + 1] !== '/') return false;
  }
  return filter.isWellFormed();
}

/**
 * True where a valid filter matches a valid topic name (section 4.7). A filter that begins with a
 * wildcard does not match a topic that begins with `$` [MQTT-4.7.2-1]. `a/#` matches `a` too.
 */
export function topicMatchesFilter(topic: string, filter: string): boolean {
  if (topic.startsWith('$') && (filter.startsWith('+') || filter.startsWith('#'))) return false;
  let topicAt = 0;
  let filterAt = 0;
  for (;;) {
    if (filter.charCodeAt(filterAt) === HASH) return true;
    const topicEnd = levelEnd(topic, topicAt);
    const filterEnd = levelEnd(filter, filterAt);
    const isPlus = filter.charCodeAt(filterAt) === PLUS;
    if (!isPlus && !sameLevel(topic, topicAt, topicEnd, filter, filterAt, filterEnd)) return false;
    const topicDone = topicEnd === topic.length;
    const filterDone = filterEnd === filter.length;
    if (topicDone) return filterDone || filter.slice(filterEnd) === '/#';
    if (filterDone) return false;
    topicAt = topicEnd + 1;
    filterAt = filterEnd + 1;
  }
}

function levelEnd(text: string, from: number): number {
  const slash = text.indexOf('/', from);
  return slash === -1 ? text.length : slash;
}

function sameLevel(
  topic: string,
  topicAt: number,
  topicEnd: number,
  filter: string,
  filterAt: number,
  filterEnd: number,
): boolean {
  const length = topicEnd - topicAt;
  return (
    length === filterEnd - filterAt && topic.startsWith(filter.slice(filterAt, filterEnd), topicAt)
  );
}
