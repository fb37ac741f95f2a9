/**
 * The filter that matches just the topics that both match; undefined where there is none. Of two
 * topic filters there is always at most one. A filter that begins with a wildcard matches no topic
 * that begins with `$` [MQTT-4.7.2-1].
 */
export function intersection(a: string, b: string): string | undefined {
  if (a.startsWith('$') !== b.startsWith('$')) return undefined;
  const left = a.split('/');
  const right = b.split('/');
  const common: string[] = [];
  for (let at = 0; ; at++) {
    // `a/#` matches `a` too, so the other one may end here.
    if (left[at] === '#') return [...common, ...right.slice(at)].join('/');
    if (right[at] === '#') return [...common, ...left.slice(at)].join('/');
    const one = left[at];
    const other = right[at];
    if (one === undefined && other === undefined) return common.join('/');
    if (one === undefined || other === undefined) return undefined;
    if (one === '+') common.push(other);
    else if (other === '+' || other === one) common.push(one);
    else return undefined;
  }
}

/** Whether every topic that `inner` matches is matched by `outer`. */
export function covers(outer: string, inner: string): boolean {
  if (outer.startsWith('$') !== inner.startsWith('$')) return false;
  const wide = outer.split('/');
  const narrow = inner.split('/');
  for (let at = 0; ; at++) {
    if (wide[at] === '#') return true;
    const level = narrow[at];
    if (wide[at] === undefined || level === undefined) return wide[at] === level;
    if (level === '#') return false;
    if (wide[at] !== '+' && wide[at] !== level) return false;
  }
}
