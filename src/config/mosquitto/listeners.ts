import { clash } from '../address-rules.ts';
import { DEFAULT_ADMIN_LISTEN, DEFAULT_LISTEN, MAX_LISTENERS } from '../defaults.ts';
import { address } from '../parsers.ts';
import type { Access, ConfListener, ConfModel, Plugin } from './model.ts';
import { refusedYet } from './not-yet-keys.ts';
import type { NoteLog, Origin } from './notes.ts';
import type { Given } from './settings.ts';
import { noteHeld, TomlTable, type TomlValue } from './toml-table.ts';

/** The two files that say who may come in, and do what. */
interface AuthFiles {
  readonly password: Given<string> | undefined;
  readonly acl: Given<string> | undefined;
}

/** `[auth]`, empty where each listener has its own or there is none. */
export function translateAuth({ access }: ConfModel, notes: NoteLog): TomlTable {
  const table = new TomlTable('[auth]');
  const { password, acl } = filesOf(access);
  if (password) table.set('password_file', password.value, { from: password.at });
  if (acl) table.set('acl_file', acl.value, { from: acl.at });
  for (const reason of table.isEmpty ? [] : refusedYet({ auth: table.data() })) table.hold(reason);
  notePlugins(access, notes);
  return table;
}

/**
 * A `[[listener]]` each. One that would be more open than it was, or that `cistern check` would not
 * accept, is held back: it then does nothing until somebody has read why.
 */
export function translateListeners(model: ConfModel, notes: NoteLog): TomlTable[] {
  const taken: string[] = [DEFAULT_ADMIN_LISTEN];
  return model.listeners.map((listener, index) => {
    const table = new TomlTable('[[listener]]', listener.at);
    const translation = new ListenerTranslation(model, listener, table, notes);
    translation.run();
    const { listen } = table.data();
    if (typeof listen === 'string') {
      const before = taken.find((other) => clash(other, listen));
      if (before !== undefined) table.hold(clashReason(before));
      if (!table.isHeld) taken.push(listen);
    }
    if (index >= MAX_LISTENERS) table.hold(`there may be ${MAX_LISTENERS} listeners.`);
    noteHeld(table, listener.at, `listener ${listener.port}`, notes);
    return table;
  });
}

function clashReason(taken: string): string {
  const remedy = taken === DEFAULT_ADMIN_LISTEN ? ' ([admin] listen moves it)' : '';
  return `${taken} is taken already${remedy}.`;
}

/** Where this machine is listened on, by tables that `translateListeners` made. */
export function openAddresses(listeners: readonly TomlTable[]): string[] {
  const open = listeners.filter(({ isHeld }) => !isHeld).map((table) => table.data()['listen']);
  const addresses = open.filter((listen) => typeof listen === 'string');
  return addresses.length === 0 ? [DEFAULT_LISTEN] : addresses;
}

class ListenerTranslation {
  readonly #model: ConfModel;
  readonly #listener: ConfListener;
  readonly #table: TomlTable;
  readonly #notes: NoteLog;

  constructor(model: ConfModel, listener: ConfListener, table: TomlTable, notes: NoteLog) {
    this.#model = model;
    this.#listener = listener;
    this.#table = table;
    this.#notes = notes;
  }

  run(): void {
    const { access } = this.#listener;
    notePlugins(access, this.#notes);
    this.#address();
    this.#protocol();
    this.#holdBack('mount_point', (at) => {
      const text =
        'Topics have no prefix by listener: let the devices publish below it, and say so in the ' +
        'acl_file.';
      this.#notes.add('no equivalent', at, 'mount_point', text);
      return 'its clients would see all topics, not only those below mount_point.';
    });
    this.#proxyProtocol();
    const hasCertificate = this.#tls();
    const plugin = [...access.plugins, ...this.#model.access.plugins].find(decidesAccess);
    if (plugin) this.#table.hold(`the plugin ${plugin.path} decided who may come in.`);
    this.#anonymous(this.#auth(), hasCertificate);
    this.#holdBack('psk_hint', (at) => {
      const text =
        'Give the listener a certificate (cert, key), and the devices passwords or certificates.';
      this.#notes.add('no equivalent', at, 'psk_hint', text);
      return 'there is no pre-shared-key encryption.';
    });
    const document = { listener: [this.#table.data()] };
    for (const reason of refusedYet(document)) this.#table.hold(reason);
  }

  #address(): void {
    const { settings, port, host, at } = this.#listener;
    const portLine = settings.text('port')?.at ?? at;
    const from = [portLine, host?.at].filter((each) => each !== undefined);
    if (port <= 0) {
      this.#table.set('listen', '127.0.0.1:1883', { from });
      const reason =
        port === 0
          ? `there are no Unix sockets (${host?.value ?? ''}).`
          : 'its line was not understood.';
      this.#table.hold(`${reason} Write host and port.`);
      return;
    }
    const family = settings.text('socket_domain');
    const every = { ipv4: '0.0.0.0', ipv6: '[::]' }[family?.value ?? ''];
    const unnamed = this.#isLocalOnly() ? '127.0.0.1' : (every ?? '');
    const listen = `${host ? bracketed(host.value) : unnamed}:${port}`;
    const isUsable = address(listen).ok;
    this.#table.set('listen', isUsable ? listen : `127.0.0.1:${port}`, {
      from: [...from, ...(family && !host ? [family.at] : [])].filter(unique),
      why: this.#whyAddress(listen, family?.value),
    });
    if (!isUsable) this.#table.hold(`"${host?.value ?? ''}" is not a host.`);
    this.#holdBack('bind_interface', (line, device) => {
      const text = `Listen on its address: \`ip address show ${device}\` tells it.`;
      this.#notes.add('no equivalent', line, 'bind_interface', text);
      return `it is bound to ${device}: write the address of that, in place of this one.`;
    });
  }

  #whyAddress(listen: string, family: string | undefined): string | undefined {
    if (this.#isLocalOnly()) return 'Without a listener Mosquitto is for this machine alone.';
    if (family === 'ipv6') return 'Takes IPv4 as well, where the system maps it.';
    return listen.startsWith(':') ? 'Every address of this machine.' : undefined;
  }

  /** Nothing but defaults: Mosquitto then serves loopback, and everyone there. */
  #isLocalOnly(): boolean {
    return !this.#listener.isConfigured;
  }

  #protocol(): void {
    const protocol = this.#listener.settings.text('protocol');
    if (!protocol || protocol.value === 'mqtt') return;
    const { value, at } = protocol;
    if (value === 'websockets') {
      this.#table.set('protocol', 'ws', { from: at });
      this.#table.set('path', '/mqtt', {
        why: 'Mosquitto took any path; clients must use this one.',
      });
      const text =
        'Mosquitto took any path in the URL: clients must use /mqtt, or write another path.';
      this.#notes.add('differs', at, 'protocol', text);
      return;
    }
    this.#notes.add(
      'no equivalent',
      at,
      'protocol',
      'A listener speaks MQTT, or MQTT over WebSocket.',
    );
    this.#table.hold(`its protocol was ${value}.`);
  }

  #proxyProtocol(): void {
    const { settings } = this.#listener;
    const proxy = settings.integer('enable_proxy_protocol');
    if (!proxy) return;
    this.#table.set('proxy_protocol', true, { from: proxy.at, why: 'Versions 1 and 2.' });
    const requireTls = settings.flag('proxy_protocol_v2_require_tls');
    if (requireTls?.value === true) {
      const text = 'Let the proxy take TLS connections only.';
      this.#notes.add('no equivalent', requireTls.at, 'proxy_protocol_v2_require_tls', text);
    }
    if (settings.flag('require_certificate')?.value === true) {
      this.#table.hold('the proxy cannot tell it whether the client has a certificate.');
    }
  }

  /** Whether each client shows a certificate. */
  #tls(): boolean {
    const { settings } = this.#listener;
    const cert = settings.text('certfile');
    const key = settings.text('keyfile');
    if (!cert && !key) return false;
    const table = this.#table.child('tls', '[listener.tls]');
    if (cert) table.set('cert', cert.value, { from: cert.at });
    if (key) table.set('key', key.value, { from: key.at });
    if (!cert || !key) {
      const missing = cert ? 'keyfile' : 'certfile';
      this.#table.hold(`TLS needs certfile and keyfile, and ${missing} is not there.`);
    }
    this.#tlsVersion(table);
    this.#tlsKeyForm();
    const ca = settings.text('cafile');
    const required = settings.flag('require_certificate');
    if (required?.value !== true) {
      if (ca) this.#noteChain(ca);
      return false;
    }
    if (ca) table.set('ca', ca.value, { from: ca.at });
    table.set('require_client_cert', true, { from: required.at });
    this.#clientAuthority(ca);
    this.#identity(table);
    return true;
  }

  #noteChain({ at }: Given<string>): void {
    const text =
      'Without require_certificate it only completed the chain: let cert be the file with the ' +
      'whole chain (fullchain.pem), where it is not.';
    this.#notes.add('differs', at, 'cafile', text);
  }

  #clientAuthority(ca: Given<string> | undefined): void {
    this.#holdBack('capath', (at, path) => {
      if (ca) {
        const text = `Only cafile is used: add to it what ${path} has, one behind the other.`;
        this.#notes.add('to do', at, 'capath', text);
        return undefined;
      }
      const text = `A directory cannot be named: write the files of ${path} into one, as ca.`;
      this.#notes.add('no equivalent', at, 'capath', text);
      return undefined;
    });
    if (!ca) this.#table.hold('ca is missing, the file of the authority that signs the clients.');
    this.#holdBack('crlfile', (at) => {
      const text =
        'There are no revocation lists: give the devices certificates of a new authority, or ' +
        'leave those user names out of the acl_file.';
      this.#notes.add('no equivalent', at, 'crlfile', text);
      return 'certificates that crlfile revokes would be accepted.';
    });
  }

  #identity(table: TomlTable): void {
    const { settings } = this.#listener;
    const identity = settings.flag('use_identity_as_username');
    const subject = settings.flag('use_subject_as_username');
    if (identity?.value === true) table.set('user_name_from', 'cn', { from: identity.at });
    else if (subject?.value === true) {
      table.set('user_name_from', 'cn', { from: subject.at, why: 'It cannot be the subject.' });
      const text =
        'The user name is the common name (cn) or the alternative name (san), not the whole ' +
        'subject: change the names in the acl_file.';
      this.#notes.add('differs', subject.at, 'use_subject_as_username', text);
    }
  }

  #tlsVersion(table: TomlTable): void {
    const version = this.#listener.settings.text('tls_version');
    if (!version) return;
    const isOld = !/^tlsv1\.[23]$/.test(version.value);
    table.set('min_version', version.value === 'tlsv1.3' ? '1.3' : '1.2', { from: version.at });
    if (!isOld) return;
    const text = 'TLS 1.2 is the oldest: devices that know nothing newer need an update.';
    this.#notes.add('differs', version.at, 'tls_version', text);
  }

  #tlsKeyForm(): void {
    const form = this.#listener.settings.text('tls_keyform');
    if (form?.value !== 'engine') return;
    this.#notes.add('no equivalent', form.at, 'tls_keyform', 'The key has to be a file (PEM).');
    this.#table.hold('its key is in an engine.');
  }

  /**
   * The files that hold for this listener, written below it where they are not those of `[auth]`.
   */
  #auth(): AuthFiles {
    const shared = filesOf(this.#model.access);
    const own = filesOf(this.#listener.access);
    const files = { password: own.password ?? shared.password, acl: own.acl ?? shared.acl };
    if (own.password ?? own.acl) {
      const from = [files.password?.at, files.acl?.at].filter((each) => each !== undefined);
      this.#table.set('auth', authData(files), { from });
    } else if (files.password ?? files.acl) {
      for (const reason of refusedYet({ auth: authData(shared) })) this.#table.hold(reason);
    }
    return files;
  }

  #anonymous(files: AuthFiles, hasCertificate: boolean): void {
    const { settings, access } = this.#listener;
    const given =
      settings.flag('listener_allow_anonymous') ??
      access.settings.flag('allow_anonymous') ??
      this.#model.access.settings.flag('allow_anonymous');
    const isOpen = given?.value ?? this.#isLocalOnly();
    this.#table.set('anonymous', isOpen, {
      from: given?.at,
      why: given ? undefined : 'As Mosquitto 2 has it by default.',
    });
    if (isOpen) {
      if (files.acl && !files.password) this.#noteUnprovenNames(files.acl.at);
      return;
    }
    if (!files.password && !hasCertificate) {
      const isOnly = !this.#table.isHeld;
      this.#table.hold(
        'nobody could come in: it allows no anonymous clients and has no password_file.' +
          // Where something else stands in the way, opening it to all would be no remedy.
          (isOnly ? ' To let everyone in, as Mosquitto 1 did, write anonymous = true.' : ''),
      );
    }
    const takesName =
      settings.flag('use_identity_as_username')?.value === true ||
      settings.flag('use_subject_as_username')?.value === true;
    const required = settings.flag('require_certificate');
    if (hasCertificate && required && files.password && !takesName) {
      const text =
        'A client with a certificate may leave user name and password out, and then has the ' +
        'rights of an anonymous one: keep those few in the acl_file.';
      this.#notes.add('differs', required.at, 'require_certificate', text);
    }
  }

  #noteUnprovenNames(at: Origin): void {
    const text =
      'Without a password_file Mosquitto believes whatever user name a client gives, and applies its ' +
      'rules; here a name that is not proven has the rights of an anonymous client. Give those users ' +
      'passwords (`cistern passwd`), or write the rules for everybody.';
    this.#notes.add('differs', at, 'acl_file', text);
  }

  /** Where the option is given: `reason` may add notes, and says why the listener must not open. */
  #holdBack(option: string, reason: (at: Origin, value: string) => string | undefined): void {
    const given = this.#listener.settings.text(option);
    if (!given) return;
    const text = reason(given.at, given.value);
    if (text !== undefined) this.#table.hold(text);
  }
}

function filesOf({ settings }: Access): AuthFiles {
  return { password: settings.text('password_file'), acl: settings.text('acl_file') };
}

function authData({ password, acl }: AuthFiles): Record<string, TomlValue> {
  return {
    ...(password && { password_file: password.value }),
    ...(acl && { acl_file: acl.value }),
  };
}

function notePlugins({ plugins }: Access, notes: NoteLog): void {
  for (const plugin of plugins) {
    const { at, path } = plugin;
    if (path.includes('mosquitto_persist')) {
      notes.add('no effect', at, 'plugin', 'Messages and sessions are always kept on flash.');
    } else if (path.includes('dynamic_security')) {
      const text =
        'Roles and groups have no equivalent: write its clients into a password_file (`cistern ' +
        'passwd`), and what their roles allow into an acl_file.';
      notes.add('no equivalent', at, 'plugin', text);
    } else {
      const text =
        `There are no plugins, so ${path} has to be replaced: by a password_file and ` +
        'an acl_file, or by JWT ([auth] jwt).';
      notes.add('no equivalent', at, 'plugin', text);
    }
    for (const [option, given] of plugin.options) {
      notes.add('no effect', given.at, `plugin option ${option}`, 'It goes with its plugin.');
    }
  }
}

/** Plugins of Mosquitto that leave to others who may come in. */
const OTHER_PLUGINS =
  /mosquitto_(persist|sparkplug|payload|topic_jail|wildcard|client_lifetime|force_retain)/;

/** Whether it decides who may come in; of a plugin that is not known it is assumed. */
function decidesAccess({ path }: Plugin): boolean {
  return !OTHER_PLUGINS.test(path);
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host.replaceAll(/[[\]]/g, '')}]` : host;
}

function unique<T>(item: T, index: number, all: readonly T[]): boolean {
  return all.indexOf(item) === index;
}
