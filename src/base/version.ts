/** Cistern's version, as `cistern --version` and the status show it; the same as in package.json. */
export const VERSION = '0.1.0';
