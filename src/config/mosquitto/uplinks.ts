import { isReachedBy } from '../address-rules.ts';
import { MAX_STREAMS, MAX_UPLINKS } from '../defaults.ts';
import { url } from '../parsers.ts';
import { remap } from './bridge-topic.ts';
import type { BridgeTopic, ConfBridge, ConfModel } from './model.ts';
import { refusedYet } from './not-yet-keys.ts';
import type { NoteLog, Origin } from './notes.ts';
import { parseWhole } from './settings.ts';
import { cutIntoRegions } from './stream-regions.ts';
import { noteHeld, TomlTable, type TomlValue } from './toml-table.ts';

/** Topics that one uplink takes: it has one template for the topic upstream. */
interface Route {
  /** The template; undefined where none says what the bridge did. */
  readonly template: string | undefined;
  readonly filters: string[];
  readonly topics: BridgeTopic[];
}

interface Uplink {
  readonly name: string;
  readonly at: Origin;
  readonly url: string;
  readonly route: Route;
  readonly table: TomlTable;
}

/**
 * The `[[stream]]`s that bridges need, then an `[[uplink]]` for each bridge, or for each way it
 * maps. One that leads to `ownAddresses`, where this gateway listens, is held back.
 */
export function translateBridges(
  model: ConfModel,
  ownAddresses: readonly string[],
  notes: NoteLog,
): TomlTable[] {
  const names = new Set<string>();
  const uplinks = model.bridges.flatMap((bridge) => translateBridge(bridge, names, notes));
  uplinks.forEach(({ table, url: there }, index) => {
    if (leadsTo(there, ownAddresses)) table.hold(`${there} is this gateway itself.`);
    if (index >= MAX_UPLINKS) table.hold(`there may be ${MAX_UPLINKS} uplinks.`);
  });
  // Streams look at which uplinks are held, so all else that holds one has been said before.
  const streams = streamsFor(uplinks);
  for (const { table, name, at } of uplinks) noteHeld(table, at, `uplink ${name}`, notes);
  return [...streams, ...uplinks.map(({ table }) => table)];
}

function leadsTo(there: string, addresses: readonly string[]): boolean {
  const { hostname, port } = new URL(there);
  return addresses.some((listen) => isReachedBy(listen, `${hostname}:${port}`));
}

function translateBridge(bridge: ConfBridge, names: Set<string>, notes: NoteLog): Uplink[] {
  const routes = routesOf(bridge, notes);
  const first = freeName(bridge.name, names);
  noteBridge(bridge, first, notes);
  return routes.map((route, index) => {
    const name = index === 0 ? first : freeName(bridge.name, names);
    const table = new TomlTable('[[uplink]]', bridge.at);
    table.set('name', name);
    const there = fillUplink(table, bridge, route, { index, name, first });
    if (index === 0) addDownlinks(table, bridge, notes);
    for (const reason of refusedYet({ uplink: [table.data()] })) table.hold(reason);
    return { name, at: bridge.at, url: there, route, table };
  });
}

/** A bridge without anything to send has one route without filters. */
function routesOf(bridge: ConfBridge, notes: NoteLog): Route[] {
  const routes = new Map<string | undefined, Route>();
  for (const topic of bridge.topics) {
    if (topic.direction === 'in') continue;
    const { filter, template } = remap(topic.pattern, topic.localPrefix, topic.remotePrefix);
    if (filter.startsWith('$')) {
      const text =
        'What begins with "$" is the broker\'s own: it is in no stream, so it cannot be sent up.';
      notes.add('no equivalent', topic.at, 'topic', text);
      continue;
    }
    const route = routes.get(template) ?? { template, filters: [], topics: [] };
    route.filters.push(filter);
    route.topics.push(topic);
    routes.set(template, route);
  }
  if (routes.size === 0) return [{ template: '{topic}', filters: [], topics: [] }];
  return [...routes.values()];
}

/** Returns the URL. */
function fillUplink(
  table: TomlTable,
  bridge: ConfBridge,
  route: Route,
  place: { readonly index: number; readonly name: string; readonly first: string },
): string {
  const { settings } = bridge;
  if (route.filters.length === 0) table.hold('it has no topic to send up.');
  addBackoff(table, bridge);
  const mqtt = table.child('mqtt', '[uplink.mqtt]');
  const there = addUrl(table, mqtt, bridge);
  const version = settings.text('bridge_protocol_version');
  mqtt.set('version', version?.value === 'mqttv50' ? 5 : '3.1.1', {
    from: version?.at,
    why: version?.value === 'mqttv31' ? 'There is no 3.1 for uplinks.' : undefined,
  });
  const qos = Math.max(1, ...route.topics.map((topic) => topic.qos));
  mqtt.set('qos', qos, {
    from: route.topics.map(({ at }) => at),
    why: route.topics.some((topic) => topic.qos < qos)
      ? `All of it with QoS ${qos}: an uplink waits for acknowledgements.`
      : undefined,
  });
  addTopic(table, mqtt, route);
  const retain = settings.flag('bridge_outgoing_retain');
  if (retain?.value === false) mqtt.set('retain', false, { from: retain.at });
  const clientId = settings.text('remote_clientid');
  if (clientId) {
    const suffix = place.index === 0 ? '' : `-${place.index + 1}`;
    mqtt.set('client_id', clientId.value + suffix, {
      from: clientId.at,
      why: suffix === '' ? undefined : 'Two connections cannot have one id.',
    });
  }
  const keepAlive = settings.integer('keepalive_interval');
  if (keepAlive) {
    const seconds = Math.min(Math.max(keepAlive.value, 5), 65_535);
    mqtt.set('keep_alive', `${seconds}s`, { from: keepAlive.at });
  }
  addCredentials(table, mqtt, bridge, place.first);
  addTls(mqtt, bridge);
  if (settings.text('bridge_psk')) table.hold('there is no pre-shared-key encryption.');
  return there;
}

function addTopic(table: TomlTable, mqtt: TomlTable, { template }: Route): void {
  if (template === undefined) {
    table.hold(
      'no template says how its prefixes map topics: write topic, or let the devices publish as ' +
        'upstream wants it.',
    );
  }
  mqtt.set('topic', template ?? '{topic}');
}

function addUrl(table: TomlTable, mqtt: TomlTable, bridge: ConfBridge): string {
  const [address] = bridge.addresses;
  const match = /^(.*?)(?::(\d+))?$/.exec(address?.value ?? '');
  // Mosquitto looks for the last colon, so an IPv6 address always has a port behind it.
  const [host = '', port = '1883'] = [match?.[1], match?.[2]];
  const bare = host.replaceAll(/[[\]]/g, '');
  const scheme = usesTls(bridge) ? 'mqtts' : 'mqtt';
  const written = `${scheme}://${bare.includes(':') ? `[${bare}]` : bare}:${port}`;
  const isUsable = /^[^\s/?#@]+$/.test(bare) && url(['mqtt', 'mqtts'])(written).ok;
  const there = isUsable ? written : `${scheme}://host:1883`;
  mqtt.set('url', there, { from: address?.at });
  if (!address) table.hold('it has no address.');
  else if (!isUsable) table.hold('its address is none.');
  return there;
}

function usesTls({ settings }: ConfBridge): boolean {
  return (
    settings.text('bridge_cafile') !== undefined ||
    settings.text('bridge_capath') !== undefined ||
    settings.text('bridge_certfile') !== undefined ||
    settings.flag('bridge_tls_use_os_certs')?.value === true
  );
}

function addTls(mqtt: TomlTable, { settings }: ConfBridge): void {
  const files = [
    ['ca', settings.text('bridge_cafile')],
    ['cert', settings.text('bridge_certfile')],
    ['key', settings.text('bridge_keyfile')],
  ] as const;
  const given = files.filter(([, file]) => file !== undefined);
  if (given.length === 0) return;
  const tls = Object.fromEntries(given.map(([key, file]) => [key, file?.value ?? '']));
  mqtt.set('tls', tls, { from: given.flatMap(([, file]) => (file ? [file.at] : [])) });
}

/** Where `mqtt.password` is looked for, since a password has no place in what is printed. */
function passwordPath(name: string): string {
  return `/etc/cistern/${name}.password`;
}

function addCredentials(table: TomlTable, mqtt: TomlTable, bridge: ConfBridge, name: string): void {
  const username = bridge.settings.text('remote_username');
  const password = bridge.settings.text('remote_password');
  if (username) {
    mqtt.set('username', username.value, { from: username.at });
    if (/^(file|env):/.test(username.value)) {
      table.hold(
        'its user name would be taken for the place of one: keep it in a file, and write ' +
          '"file:PATH".',
      );
    }
  }
  if (!password) return;
  // `check` refuses a file that is not there, and there is none before somebody has made it.
  mqtt.set('password', `file:${passwordPath(name)}`, {
    from: password.at,
    why: 'Make the file by the command at the end, then take the "#" from before this line.',
    isHeld: true,
  });
  if (!username) table.hold('there is a password, and no user name that it belongs to.');
}

/** `base cap` or `constant`, in seconds; Mosquitto's default is near enough to ours. */
function addBackoff(table: TomlTable, { settings }: ConfBridge): void {
  const given = settings.text('restart_timeout');
  const [base, cap = base] = (given?.value ?? '').split(/\s+/).map(parseWhole);
  if (!given || base === undefined || cap === undefined || base < 1 || cap > 86_400) return;
  const longest = Math.max(base, cap);
  table.set('backoff', { base: `${base}s`, cap: `${longest}s` }, { from: given.at });
}

function addDownlinks(table: TomlTable, bridge: ConfBridge, notes: NoteLog): void {
  const incoming = bridge.topics.filter(({ direction }) => direction !== 'out');
  const downlink: TomlValue[] = [];
  for (const topic of incoming) {
    const { filter, template } = remap(topic.pattern, topic.remotePrefix, topic.localPrefix);
    if (template !== undefined) downlink.push({ filter, topic: template, qos: topic.qos });
    else {
      const text =
        'No template says how its prefixes map topics: subscribe upstream by a client of your ' +
        'own, or change the prefixes.';
      notes.add('no equivalent', topic.at, 'topic', text);
    }
  }
  if (downlink.length === 0) return;
  const [refusal] = refusedYet({ uplink: [{ mqtt: { downlink } }] });
  const from = incoming.map(({ at }) => at);
  const options = { from, why: refusal, isHeld: refusal !== undefined };
  table.descend('mqtt')?.set('downlink', downlink, options);
  if (refusal === undefined) return;
  for (const { at, direction } of incoming) {
    const half = direction === 'both' ? 'Only "out" is done: ' : '';
    const text = `${half}what comes down is printed behind "#": ${refusal}`;
    notes.add('to do', at, 'topic', text);
  }
}

function noteBridge(bridge: ConfBridge, name: string, notes: NoteLog): void {
  const { settings } = bridge;
  if (name !== bridge.name) {
    const text =
      `The uplink is called ${name}: a name has letters, digits, ".", "_" and "-", ` +
      'and each its own.';
    notes.add('differs', bridge.at, 'connection', text);
  }
  const [, ...others] = bridge.addresses;
  for (const { at } of others.slice(0, 1)) {
    const text = 'An uplink has one address, here the first: let a DNS name stand for all of them.';
    notes.add('no equivalent', at, 'address', text);
  }
  const password = settings.text('remote_password');
  if (password)
    notes.add('to do', password.at, 'remote_password', passwordCommand(password.at, name));
  const capath = settings.text('bridge_capath');
  if (capath) {
    const text =
      `A directory cannot be named: write the files of ${capath.value} into one, as tls.ca. ` +
      "Without it the system's authorities hold.";
    notes.add('no equivalent', capath.at, 'bridge_capath', text);
  }
  const psk = settings.text('bridge_psk');
  if (psk) {
    const text =
      'There is no pre-shared-key encryption: use a certificate, or lead the link through a ' +
      'tunnel.';
    notes.add('no equivalent', psk.at, 'bridge_psk', text);
  }
  const start = settings.text('start_type');
  if (start && start.value !== 'automatic') {
    const text = 'An uplink connects at once, stays connected, and tries again when it is not.';
    notes.add('no equivalent', start.at, 'start_type', text);
  }
}

function passwordCommand({ file, line }: Origin, name: string): string {
  const quoted = `'${file.replaceAll("'", "'\\''")}'`;
  return (
    'It is not printed here. Put it where only the broker can read it, then take the "#" from ' +
    'before password: ' +
    `sed -n '${line}s/^ *[a-z_]* *//p' ${quoted} | install -D -m 600 /dev/stdin ` +
    `${passwordPath(name)}`
  );
}

/** A name that is none of `names`, as the configuration wants it; it is added to them. */
function freeName(wanted: string, names: Set<string>): string {
  const plain = wanted
    .replaceAll(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[._-]+/, '')
    .slice(0, 56);
  const base = plain === '' ? 'bridge' : plain;
  let name = base;
  for (let number = 2; names.has(name); number++) name = `${base}-${number}`;
  names.add(name);
  return name;
}

/**
 * Streams so that each uplink gets what its bridge took. Where all of them take everything there is
 * no need of any: the stream that exists by itself has it. What no bridge takes is in no stream.
 */
function streamsFor(uplinks: readonly Uplink[]): TomlTable[] {
  const sending = uplinks.filter(({ route }) => route.filters.length > 0);
  if (sending.every(({ route }) => route.filters.includes('#'))) return [];
  const regions = cutIntoRegions(sending.map(({ route }) => route.filters));
  if (!regions || regions.length > MAX_STREAMS) {
    for (const { table } of sending)
      table.hold('its topics overlap with those of others in too many ways.');
    return [];
  }
  const names = new Set<string>();
  const streams = regions.map(({ filters, owners }) => {
    const followers = owners.flatMap((index) => sending[index] ?? []);
    const stream = freeName(followers.map(({ name }) => name).join('-'), names);
    const table = new TomlTable('[[stream]]');
    table.set('name', stream);
    table.set('topics', filters, {
      from: followers.flatMap(({ route }) => route.topics.map(({ at }) => at)),
    });
    if (followers.every((follower) => follower.table.isHeld)) {
      table.hold(`it is for ${followers.map(({ name }) => `uplink ${name}`).join(' and ')}.`);
    }
    return { stream, table, followers };
  });
  for (const uplink of sending) {
    const followed = streams.filter(({ followers }) => followers.includes(uplink));
    uplink.table.set(
      'streams',
      followed.map(({ stream }) => stream),
    );
  }
  return streams.map(({ table }) => table);
}
