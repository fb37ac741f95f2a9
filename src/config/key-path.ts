const BARE_KEY = /^[A-Za-z0-9_-]+$/;

/** The path of `key` in the table at `parent` (empty for the root): `uplink[0].mqtt.url`. */
export function keyPath(parent: string, key: string): string {
  const name = BARE_KEY.test(key) ? key : JSON.stringify(key);
  return parent === '' ? name : `${parent}.${name}`;
}

/** The path of an element, from 0. */
export function elementPath(parent: string, index: number): string {
  return `${parent}[${index}]`;
}
