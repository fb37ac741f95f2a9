// The layers of src/ARCHITECTURE.md: imports go down only. Each room lists the rooms it may import;
// every pair that is not listed is an error, and so is a cycle, a package or a part of Node that a
// room has no business with.
//
// dependency-cruiser cannot read files with TypeScript 7 and then reports "no violations" on no
// modules, so `parser: 'swc'` is essential. build/lib/layers.ts asserts the number of modules read and
// cruises a fixture in which each kind of rule is broken.

const CONTRACTS = '^src/(ring|metadata|streams|uplink)/types[.]ts$';

/** room (folder or file under src, as a regular expression) → rooms it may import besides itself. */
const ROOMS = {
  base: [],
  platform: ['base'],
  'platform/node': ['base', 'platform'],
  codec: ['base'],
  config: ['base', 'platform'],
  ring: ['base', 'platform'],
  metadata: ['base', 'platform'],
  session: ['base', 'codec'],
  streams: ['base', 'platform', 'codec', 'config', 'ring', 'metadata'],
  auth: ['base', 'platform', 'codec', 'config'],
  broker: ['base', 'platform', 'codec', 'config', 'auth', 'ring', 'metadata', 'session', 'streams'],
  uplink: ['base', 'platform', 'codec', 'config', 'ring', 'metadata', 'streams'],
  admin: ['base', 'platform', 'config'],
  app: [
    'base',
    'platform',
    'platform/node',
    'codec',
    'config',
    'auth',
    'ring',
    'metadata',
    'session',
    'streams',
    'broker',
    'uplink',
    'admin',
  ],
  cli: [
    'base',
    'platform',
    'platform/node',
    'codec',
    'config',
    'auth',
    'ring',
    'metadata',
    'session',
    'streams',
    'broker',
    'uplink',
    'admin',
    'app',
  ],
};

/** Packages from the registry, and who may import them. */
const PACKAGES = {
  'mqtt-packet': '^src/codec/',
  mqtt: '^src/(uplink/sinks/mqtt[.]ts|cli/)',
  jose: '^src/platform/node/token-keys[.]ts$',
  lmdb: '^src/metadata/lmdb-checkpoint[.]ts$',
  'cbor-x': '^src/(metadata|ring|streams)/',
  'smol-toml': '^src/config/',
  ws: '^src/platform/node/websocket-',
};

/** Parts of Node without I/O, clock or randomness, which any room may use. */
const PURE_NODE = '^(node:)?(buffer|util|path|string_decoder|assert)$';
const NODE_USERS = '^src/(platform/node/|app/|cli/|main[.]ts$)';

function roomPath(room) {
  // platform's interfaces are a room of their own; its node/ folder is another.
  return room === 'platform' ? '^src/platform/(?!node/)' : `^src/${room}/`;
}

const layerRules = Object.entries(ROOMS).map(([room, below]) => ({
  name: `layer-${room.replace('/', '-')}`,
  comment: `${room} may import ${below.length === 0 ? 'nothing' : below.join(', ')}.`,
  severity: 'error',
  from: { path: roomPath(room) },
  to: {
    path: '^src/',
    pathNot: [roomPath(room), ...below.map(roomPath), ...(room === 'admin' ? [CONTRACTS] : [])],
  },
}));

const packageRules = Object.entries(PACKAGES).map(([name, users]) => ({
  name: `package-${name}`,
  comment: `${name} is imported only by ${users}.`,
  severity: 'error',
  from: { path: '^src/', pathNot: users },
  to: { path: `(^|/)node_modules/${name}/` },
}));

module.exports = {
  forbidden: [
    ...layerRules,
    {
      name: 'layer-main',
      comment: 'main.ts hands the process and the real platform to the command line.',
      severity: 'error',
      from: { path: '^src/main[.]ts$' },
      to: { path: '^src/', pathNot: '^src/(cli|base|platform)/' },
    },
    {
      name: 'rooms-are-known',
      comment: 'Every file of src is in a room of the table, so that no rule is by-passed.',
      severity: 'error',
      from: { path: '^src/', pathNot: [...Object.keys(ROOMS).map(roomPath), '^src/main[.]ts$'] },
      to: {},
    },
    ...packageRules,
    {
      name: 'packages-are-known',
      comment: 'A package has a line in the table of packages, with the rooms that may use it.',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        path: '(^|/)node_modules/',
        pathNot: `(^|/)node_modules/(${Object.keys(PACKAGES).join('|')}|@types)/`,
      },
    },
    {
      name: 'node-in-platform-only',
      comment: 'Files, sockets, clocks and the like are reached through src/platform.',
      severity: 'error',
      from: { path: '^src/', pathNot: NODE_USERS },
      to: { dependencyTypes: ['core'], pathNot: PURE_NODE },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-tests-in-src',
      severity: 'error',
      from: { path: '^(src|firmware-bridge)/' },
      to: { path: '^(test|build)/' },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { extensions: ['.ts', '.mjs', '.cjs', '.js', '.json'] },
  },
};
