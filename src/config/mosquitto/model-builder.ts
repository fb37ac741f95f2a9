import { CisternError } from '../../base/errors.ts';
import { nearest } from '../issue.ts';
import { parseBridgeTopic } from './bridge-topic.ts';
import type { ConfLine, ConfVisitor } from './conf-lines.ts';
import type { Access, ConfBridge, ConfListener, ConfModel, Plugin } from './model.ts';
import { formatOrigin, type NoteLog, plainLine } from './notes.ts';
import { findOption, type OptionSpec, optionNames } from './options.ts';
import { type Given, parseFlag, parseWhole, Settings } from './settings.ts';

/** The section that lines belong to, which begins anew in each file. */
interface Place {
  listener: ConfListener;
  bridge: ConfBridge | undefined;
  plugin: Plugin | undefined;
}

/** Builds the model line by line; what it cannot put there is a note. */
export class ModelBuilder implements ConfVisitor {
  readonly #notes: NoteLog;
  readonly #general: Settings;
  readonly #access: Access;
  readonly #defaultListener: ConfListener;
  readonly #listeners: ConfListener[] = [];
  readonly #bridges: ConfBridge[] = [];
  readonly #logDestinations: Given<string>[] = [];
  readonly #logTypes: Given<string>[] = [];
  readonly #namedPlugins = new Map<string, Plugin>();
  readonly #places: Place[] = [];
  #place: Place;
  #isPerListener = false;
  /** Whether some line has said who may come in. */
  #hasAccessLine = false;

  constructor(notes: NoteLog) {
    this.#notes = notes;
    this.#general = new Settings(notes);
    this.#access = this.#newAccess();
    this.#defaultListener = this.#newListener({ at: undefined, port: 1883, host: undefined });
    this.#place = this.#newPlace();
  }

  enterFile(): void {
    this.#places.push(this.#place);
    this.#place = this.#newPlace();
  }

  leaveFile(): void {
    this.#place = this.#places.pop() ?? this.#newPlace();
  }

  line(line: ConfLine): void {
    const found = findOption(line.name);
    if (!found) this.#unknown(line);
    else if (found.spec.scope === 'bridge' && found.name !== 'connection' && !this.#place.bridge) {
      this.#misread(line, 'It belongs below a "connection" line.');
    } else if (found.spec.kind === 'own') this.#own(found.name, line);
    else this.#plain(found.name, found.spec, line);
  }

  /** Call it once, after the last line. */
  finish(): ConfModel {
    this.#dissolveFilePlugins(this.#access);
    for (const listener of [this.#defaultListener, ...this.#listeners]) {
      this.#dissolveFilePlugins(listener.access);
    }
    return {
      general: this.#general,
      access: this.#access,
      logDestinations: this.#logDestinations,
      logTypes: this.#logTypes,
      listeners: this.#usesDefaultListener()
        ? [this.#defaultListener, ...this.#listeners]
        : this.#listeners,
      bridges: this.#bridges,
    };
  }

  /** A line of one value. What is not translated is said here, by its table row. */
  #plain(name: string, spec: OptionSpec, line: ConfLine): void {
    const value = readValue(spec.kind, line.value);
    if (value === undefined || value === '') {
      const wanted = { flag: 'true or false', integer: 'a whole number', text: 'a value', own: '' };
      this.#misread(line, `It takes ${wanted[spec.kind]}.`);
      return;
    }
    if (name === 'per_listener_settings') this.#setPerListener(value === true, line);
    if (spec.scope === 'access') this.#hasAccessLine = true;
    const { fate } = spec;
    if (!fate) {
      this.#settingsOf(spec).set(name, { value, at: line.at });
    } else if (value === fate.harmless) {
      this.#notes.add('no effect', line.at, line.name, 'It is so here, too.');
    } else {
      this.#notes.add(fate.kind, line.at, line.name, fate.text);
    }
    if (spec.scope === 'listener') this.#place.listener.isConfigured = true;
  }

  /**
   * Behind an option that it divides, Mosquitto ends. There is no telling which listeners that option
   * was meant for, and a guess could open one.
   */
  #setPerListener(value: boolean, { at }: ConfLine): void {
    if (value && this.#hasAccessLine) {
      throw new CisternError(
        'CONFIG_INVALID',
        `${plainLine(formatOrigin(at))}: per_listener_settings stands behind options of who may come in, ` +
          'and Mosquitto does not start so.',
        {
          remedy:
            'Write the line at the top of the file, see that Mosquitto starts, and import again.',
        },
      );
    }
    this.#isPerListener = value;
  }

  #settingsOf({ scope }: OptionSpec): Settings {
    switch (scope) {
      case 'general':
        return this.#general;
      case 'access':
        return this.#currentAccess().settings;
      case 'listener':
        return this.#place.listener.settings;
      case 'bridge':
        return this.#place.bridge?.settings ?? this.#general;
    }
  }

  #currentAccess(): Access {
    return this.#isPerListener ? this.#place.listener.access : this.#access;
  }

  #own(name: string, line: ConfLine): void {
    switch (name) {
      case 'listener':
        return this.#beginListener(line);
      case 'port':
      case 'bind_address':
        return this.#configureDefaultListener(name, line);
      case 'connection':
        return this.#beginBridge(line);
      case 'address':
        return this.#addresses(line);
      case 'topic':
        return this.#topic(line);
      case 'log_dest':
      case 'log_type': {
        if (line.value === '') return this.#misread(line, 'It takes a value.');
        const list = name === 'log_dest' ? this.#logDestinations : this.#logTypes;
        list.push({ value: line.value, at: line.at });
        return;
      }
      default:
        return this.#pluginLine(name, line);
    }
  }

  #beginListener(line: ConfLine): void {
    const [portText = '', second] = line.value.split(/\s+/);
    const port = parseWhole(portText);
    const host = second === undefined || second.startsWith('#') ? undefined : second;
    if (port === undefined || port < 0 || port > 65_535 || (port === 0 && host === undefined)) {
      this.#misread(line, 'It takes a port from 1 to 65535 and maybe a host, or 0 and a path.');
      // What follows belongs to it all the same, and must not configure the listener before.
    }
    this.#place.listener = this.#newListener({
      at: line.at,
      port: port ?? -1,
      host: host === undefined ? undefined : { value: host, at: line.at },
    });
    this.#listeners.push(this.#place.listener);
  }

  #configureDefaultListener(name: 'port' | 'bind_address', line: ConfLine): void {
    const listener = this.#defaultListener;
    this.#place.listener = listener;
    const port = parseWhole(line.value);
    if (name === 'bind_address' && line.value !== '') {
      listener.host = { value: line.value.split(/\s+/)[0] ?? '', at: line.at };
    } else if (name === 'port' && port !== undefined && port > 0 && port <= 65_535) {
      listener.port = port;
    } else {
      return this.#misread(
        line,
        name === 'port' ? 'It takes a port from 1 to 65535.' : 'It takes a host.',
      );
    }
    listener.isConfigured = true;
    listener.settings.set(name, { value: line.value, at: line.at });
  }

  /**
   * As in Mosquitto 2.0: without a `listener`, or where a line of a listener stands before the
   * first.
   */
  #usesDefaultListener(): boolean {
    return this.#listeners.length === 0 || this.#defaultListener.isConfigured;
  }

  #beginBridge(line: ConfLine): void {
    const name = line.value.split(/\s+/)[0] ?? '';
    if (name === '') this.#misread(line, 'It takes a name.');
    const bridge: ConfBridge = {
      name,
      at: line.at,
      settings: new Settings(this.#notes),
      addresses: [],
      topics: [],
    };
    this.#place.bridge = bridge;
    this.#bridges.push(bridge);
  }

  #addresses(line: ConfLine): void {
    const { bridge } = this.#place;
    const words = line.value.split(/\s+/).filter((word) => word !== '');
    const end = words.findIndex((word) => word.startsWith('#'));
    const addresses = end < 0 ? words : words.slice(0, end);
    if (!bridge || addresses.length === 0) return this.#misread(line, 'It takes host:port.');
    if (bridge.addresses.length > 0) {
      return this.#misread(line, 'The bridge has its addresses; they go into one line.');
    }
    bridge.addresses = addresses.map((value) => ({ value, at: line.at }));
  }

  #topic(line: ConfLine): void {
    const topic = parseBridgeTopic(line);
    if (typeof topic === 'string') this.#misread(line, topic);
    else this.#place.bridge?.topics.push(topic);
  }

  #pluginLine(name: string, line: ConfLine): void {
    this.#hasAccessLine = true;
    const [first = '', ...rest] = line.value.split(/\s+/);
    if (name.endsWith('*')) {
      const option = line.name.replace(/^(auth|plugin)_opt_/, '');
      const { plugin } = this.#place;
      if (!plugin) return this.#misread(line, 'It belongs below a "plugin" line.');
      plugin.options.set(option, { value: line.value, at: line.at });
      return;
    }
    if (first === '') return this.#misread(line, 'It takes a value.');
    if (name === 'plugin_use') {
      const plugin = this.#namedPlugins.get(first);
      if (!plugin) return this.#misread(line, 'There is no plugin of this name before it.');
      this.#place.plugin = plugin;
      this.#place.listener.access.plugins.push({ ...plugin, at: line.at });
      const text = 'What it becomes stands with the lines that load the plugin.';
      this.#notes.add('no effect', line.at, line.name, text);
      return;
    }
    const isNamed = name === 'plugin_load';
    const path = isNamed ? rest.join(' ') : line.value;
    const plugin: Plugin = { path, at: line.at, options: new Map() };
    this.#place.plugin = plugin;
    if (isNamed) this.#namedPlugins.set(first, plugin);
    else (name === 'global_plugin' ? this.#access : this.#currentAccess()).plugins.push(plugin);
  }

  /** Mosquitto 2.1 has its two files in plugins of their own; they are what the options are. */
  #dissolveFilePlugins(access: Access): void {
    for (const option of ['password_file', 'acl_file']) {
      const index = access.plugins.findIndex(
        ({ path, options }) => path.includes(`mosquitto_${option}`) && options.has(option),
      );
      const [plugin] = index < 0 ? [] : access.plugins.splice(index, 1);
      const given = plugin?.options.get(option);
      if (given) access.settings.set(option, given);
    }
  }

  #unknown(line: ConfLine): void {
    const near = nearest(line.name, optionNames());
    const meant =
      near === undefined ? 'Mosquitto 2.0 and 2.1 have no such option' : `Did you mean "${near}"?`;
    const text = `"${shown(line)}": ${meant}${near === undefined ? '.' : ''}`;
    this.#notes.add('not understood', line.at, plainLine(line.name), text);
  }

  #misread(line: ConfLine, why: string): void {
    const text = `"${shown(line)}": ${why} The line is left out.`;
    this.#notes.add('not understood', line.at, plainLine(line.name), text);
  }

  #newPlace(): Place {
    return { listener: this.#defaultListener, bridge: undefined, plugin: undefined };
  }

  #newListener(parts: Pick<ConfListener, 'at' | 'port' | 'host'>): ConfListener {
    const settings = new Settings(this.#notes);
    return { ...parts, isConfigured: parts.at !== undefined, settings, access: this.#newAccess() };
  }

  #newAccess(): Access {
    return { settings: new Settings(this.#notes), plugins: [] };
  }
}

function readValue(kind: OptionSpec['kind'], text: string): boolean | number | string | undefined {
  if (kind === 'flag') return parseFlag(text);
  return kind === 'integer' ? parseWhole(text) : text;
}

/** The line as it stands, cut where it is long, and without what may be a secret. */
function shown({ name, value }: ConfLine): string {
  // With a letter or two missing, too: it may be a line that nobody knows.
  const isSecret = /pas|psk|secret|token|auth|_opt_|key|cred/i.test(name);
  const text = plainLine(`${name} ${isSecret && value !== '' ? '***' : value}`.trimEnd());
  return text.length > 80 ? `${text.slice(0, 77).toWellFormed()}...` : text;
}
