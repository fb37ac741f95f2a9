/** Why `filter` is not an MQTT topic filter, or undefined. MQTT-4.7.1-1, -2 and -3, MQTT-4.7.3-1, -2. */
export function filterProblem(filter: string): string | undefined {
  if (filter === '') return 'it is empty';
  if (filter.includes('\0')) return 'it holds the character U+0000';
  if (Buffer.byteLength(filter) > 65_535) return 'it is longer than 65,535 bytes';
  const levels = filter.split('/');
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index !== levels.length - 1)) {
      return '"#" must be the whole last level';
    }
    if (level.includes('+') && level !== '+') return '"+" must be a whole level';
  }
  return undefined;
}

/** Whether every topic that `narrow` matches is matched by `wide` too. Both must be valid filters. */
export function filterCovers(wide: string, narrow: string): boolean {
  const wideLevels = wide.split('/');
  const narrowLevels = narrow.split('/');
  // MQTT-4.7.2-1: a leading wildcard does not match a topic that begins with "$".
  if (isWildcard(wideLevels[0]) && narrow.startsWith('$')) return false;
  for (const [index, level] of wideLevels.entries()) {
    // "a/#" matches "a" itself as well, so it covers what has just ended.
    if (level === '#') return true;
    const other = narrowLevels[index];
    if (other === undefined || other === '#') return false;
    if (level !== '+' && level !== other) return false;
  }
  return narrowLevels.length === wideLevels.length;
}

/** Whether some topic is matched by both. Both must be valid filters. */
export function filtersMeet(one: string, other: string): boolean {
  const a = one.split('/');
  const b = other.split('/');
  if (isWildcard(a[0]) && other.startsWith('$')) return false;
  if (isWildcard(b[0]) && one.startsWith('$')) return false;
  for (let index = 0; ; index++) {
    const left = a[index];
    const right = b[index];
    if (left === '#' || right === '#') return true;
    if (left === undefined || right === undefined) return left === right;
    if (left !== '+' && right !== '+' && left !== right) return false;
  }
}

function isWildcard(level: string | undefined): boolean {
  return level === '+' || level === '#';
}
