import type { NoteKind } from './notes.ts';

/** What a line belongs to: `access` is of the listener where `per_listener_settings` is set. */
type Scope = 'general' | 'access' | 'listener' | 'bridge';

/** `own`: has a syntax of its own, which the model reads. */
type ValueKind = 'flag' | 'integer' | 'text' | 'own';

export interface OptionSpec {
  readonly scope: Scope;
  readonly kind: ValueKind;
  /** What is said of it; absent where it is translated. */
  readonly fate: Fate | undefined;
}

interface Fate {
  readonly kind: NoteKind;
  readonly text: string;
  /** A value with which it changes nothing. */
  readonly harmless: boolean | number | undefined;
}

type Row = readonly [name: string, scope: Scope, kind: ValueKind, fate?: Fate];

const noEffect = (text: string): Fate => ({ kind: 'no effect', text, harmless: undefined });
const noEquivalent = (text: string, harmless?: boolean | number): Fate => ({
  kind: 'no equivalent',
  text,
  harmless,
});

const DURABLE = 'A message is on flash when it is acknowledged, not at intervals.';
const LIBWEBSOCKETS = 'It is about a library that Cistern does not use.';
const CIPHERS =
  'Cistern offers the suites of its OpenSSL for TLS 1.2 and 1.3; to narrow them down, keep ' +
  'min_version = "1.3".';
const PSK =
  'There is no pre-shared-key encryption: give the listener a certificate (cert, key) and the ' +
  'devices passwords or certificates.';
const BRIDGE_PSK =
  'There is no pre-shared-key encryption: use a certificate, or lead the link through a tunnel.';
const LAZY = 'An uplink holds its connection; what waits meanwhile is on flash.';
const LOCAL = 'An uplink reads the ring, and is no client of this broker.';
const ENGINE = 'The key has to be a file (PEM): there are no engines.';
const NOTIFICATIONS =
  'The state of an uplink is in `cistern status`, /api/v1/status and /metrics, not in a topic.';

const GENERAL: readonly Row[] = [
  [
    'allow_duplicate_messages',
    'general',
    'flag',
    noEffect('MQTT leaves it to the broker, and Mosquitto gives it up.'),
  ],
  ['autosave_interval', 'general', 'text', noEffect(DURABLE)],
  ['autosave_on_changes', 'general', 'text', noEffect(DURABLE)],
  [
    'check_retain_source',
    'general',
    'flag',
    noEquivalent(
      'Whoever may read the topic gets its retained message; clear what an unwelcome client ' +
        'left with an empty retained message.',
      false,
    ),
  ],
  [
    'clientid_prefixes',
    'general',
    'text',
    noEquivalent(
      'Client ids are not restricted: give the devices passwords, and topics by "pattern … %c" ' +
        'in the acl_file.',
    ),
  ],
  [
    'connection_messages',
    'general',
    'flag',
    noEquivalent(
      'Clients that come and go are in the log at level "info"; [log] level = "warn" leaves all ' +
        'of that level out.',
      true,
    ),
  ],
  [
    'enable_control_api',
    'general',
    'flag',
    noEquivalent(
      'There is no $CONTROL: `cistern status` and /api/v1/status tell what runs.',
      false,
    ),
  ],
  [
    'global_max_clients',
    'general',
    'integer',
    noEquivalent(
      'Sessions end by limits.session_expiry_max; their number is bounded only through ' +
        'limits.connections.',
      -1,
    ),
  ],
  ['global_max_connections', 'general', 'integer'],
  ['include_dir', 'general', 'own'],
  ['log_dest', 'general', 'own'],
  [
    'log_facility',
    'general',
    'text',
    noEffect('The log goes to standard error, and under systemd to the journal.'),
  ],
  ['log_timestamp', 'general', 'flag', noEffect('Each entry has its time.')],
  ['log_timestamp_format', 'general', 'text', noEffect('Times are ISO 8601, in UTC.')],
  ['log_type', 'general', 'own'],
  [
    'max_inflight_bytes',
    'general',
    'integer',
    noEquivalent(
      'Messages in flight are bounded by number (limits.inflight), and bytes by ' +
        'limits.output_buffer.',
      0,
    ),
  ],
  ['max_inflight_messages', 'general', 'integer'],
  [
    'max_keepalive',
    'general',
    'integer',
    noEquivalent('A client gets the keep alive that it asks for.', 0),
  ],
  ['max_packet_size', 'general', 'integer'],
  ['max_queued_bytes', 'general', 'integer'],
  ['max_queued_messages', 'general', 'integer'],
  [
    'memory_limit',
    'general',
    'integer',
    noEquivalent(
      'Each thing that can grow has its own bound in [limits]; MemoryMax= of systemd holds the ' +
        'whole.',
      0,
    ),
  ],
  ['message_size_limit', 'general', 'integer'],
  [
    'packet_buffer_size',
    'general',
    'text',
    noEffect('Packets are read from whatever buffer the network gives.'),
  ],
  [
    'per_listener_settings',
    'general',
    'flag',
    noEffect('Each [[listener]] may have an auth of its own.'),
  ],
  ['persistence', 'general', 'flag'],
  ['persistence_file', 'general', 'text', noEffect('The ring has its own files, in storage.path.')],
  ['persistence_location', 'general', 'text'],
  ['persistent_client_expiration', 'general', 'text'],
  [
    'pid_file',
    'general',
    'text',
    noEffect('A lock in storage.path keeps a second one out; systemd knows the process.'),
  ],
  [
    'queue_qos0_messages',
    'general',
    'flag',
    noEquivalent(
      'QoS 0 is not kept for a client that is away: let what it must not miss be published with ' +
        'QoS 1.',
      false,
    ),
  ],
  [
    'retain_available',
    'general',
    'flag',
    noEquivalent('Retained messages cannot be switched off.', true),
  ],
  [
    'retain_expiry_interval',
    'general',
    'text',
    noEffect('Expired retained messages go by themselves.'),
  ],
  ['retry_interval', 'general', 'text', noEffect('Mosquitto gave it up itself.')],
  ['set_tcp_nodelay', 'general', 'flag', noEffect('It is always on.')],
  ['store_clean_interval', 'general', 'text', noEffect('Mosquitto gave it up itself.')],
  [
    'sys_interval',
    'general',
    'integer',
    noEquivalent('How often $SYS is published, and whether, cannot be set.'),
  ],
  [
    'upgrade_outgoing_qos',
    'general',
    'flag',
    noEquivalent(
      'MQTT forbids it (MQTT-3.8.4-8): publish with the QoS that the readers need.',
      false,
    ),
  ],
  [
    'user',
    'general',
    'text',
    noEffect('Cistern keeps the user it is started as: User= of systemd says which.'),
  ],
  ['websockets_log_level', 'general', 'text', noEffect(LIBWEBSOCKETS)],
  ['websockets_headers_size', 'general', 'text', noEffect(LIBWEBSOCKETS)],
];

const ACCESS: readonly Row[] = [
  ['acl_file', 'access', 'text'],
  ['allow_anonymous', 'access', 'flag'],
  [
    'allow_zero_length_clientid',
    'access',
    'flag',
    noEquivalent(
      'A client without an id gets one, as MQTT has it; give the devices passwords to know them.',
      true,
    ),
  ],
  ['auth_opt_*', 'access', 'own'],
  ['auth_plugin', 'access', 'own'],
  ['auth_plugin_deny_special_chars', 'access', 'text', noEffect('There are no plugins.')],
  [
    'auto_id_prefix',
    'access',
    'text',
    noEquivalent('Ids that the broker makes have a form of their own.'),
  ],
  ['global_plugin', 'access', 'own'],
  [
    'listener_auto_id_prefix',
    'listener',
    'text',
    noEquivalent('Ids that the broker makes have a form of their own.'),
  ],
  ['password_file', 'access', 'text'],
  ['plugin', 'access', 'own'],
  ['plugin_load', 'access', 'own'],
  ['plugin_opt_*', 'access', 'own'],
  ['plugin_use', 'access', 'own'],
  ['psk_file', 'access', 'text', noEquivalent(PSK)],
];

const LISTENER: readonly Row[] = [
  [
    'accept_protocol_versions',
    'listener',
    'text',
    noEquivalent('A listener speaks 3.1, 3.1.1 and 5.0.'),
  ],
  ['bind_address', 'listener', 'own'],
  ['bind_interface', 'listener', 'text'],
  ['cafile', 'listener', 'text'],
  ['capath', 'listener', 'text'],
  ['certfile', 'listener', 'text'],
  ['ciphers', 'listener', 'text', noEquivalent(CIPHERS)],
  ['ciphers_tls1.3', 'listener', 'text', noEquivalent(CIPHERS)],
  ['crlfile', 'listener', 'text'],
  [
    'dhparamfile',
    'listener',
    'text',
    noEffect('Key exchange is by elliptic curves; Mosquitto 2.1 needs it no more either.'),
  ],
  [
    'disable_client_cert_date_checks',
    'listener',
    'flag',
    noEquivalent(
      'A client certificate that has expired is refused: give those devices new ones.',
      false,
    ),
  ],
  ['enable_proxy_protocol', 'listener', 'integer'],
  [
    'http_dir',
    'listener',
    'text',
    noEquivalent('Cistern serves no files: let a web server do it.'),
  ],
  ['keyfile', 'listener', 'text'],
  ['listener', 'listener', 'own'],
  ['listener_allow_anonymous', 'listener', 'flag'],
  ['max_connections', 'listener', 'integer'],
  ['max_qos', 'listener', 'integer', noEquivalent('All three are served.', 2)],
  [
    'max_topic_alias',
    'listener',
    'text',
    noEquivalent('The number of topic aliases cannot be set.'),
  ],
  [
    'max_topic_alias_broker',
    'listener',
    'text',
    noEquivalent('The number of topic aliases cannot be set.'),
  ],
  ['mount_point', 'listener', 'text'],
  ['mptcp', 'listener', 'flag', noEquivalent('Connections are plain TCP.', false)],
  ['port', 'listener', 'own'],
  ['protocol', 'listener', 'text'],
  ['proxy_protocol_v2_require_tls', 'listener', 'flag'],
  ['psk_hint', 'listener', 'text'],
  ['require_certificate', 'listener', 'flag'],
  ['socket_domain', 'listener', 'text'],
  ['tls_engine', 'listener', 'text', noEquivalent(ENGINE)],
  ['tls_engine_kpass_sha1', 'listener', 'text', noEquivalent(ENGINE)],
  ['tls_keyform', 'listener', 'text'],
  ['tls_version', 'listener', 'text'],
  ['use_identity_as_username', 'listener', 'flag'],
  ['use_subject_as_username', 'listener', 'flag'],
  [
    'use_username_as_clientid',
    'listener',
    'flag',
    noEquivalent(
      'A client keeps the id that it names. Two with one id end each other; "pattern … %u" in ' +
        'the acl_file binds topics to the user instead.',
      false,
    ),
  ],
  [
    'websockets_origin',
    'listener',
    'text',
    noEquivalent(
      'Any web page may connect: ask for a password on this listener, or let a proxy before it ' +
        'check the origin.',
    ),
  ],
];

const BRIDGE: readonly Row[] = [
  ['address', 'bridge', 'own'],
  [
    'bridge_alpn',
    'bridge',
    'text',
    noEquivalent(
      'No protocol is named while TLS starts: use the port that speaks MQTT without it, for ' +
        'most services 8883.',
    ),
  ],
  ['bridge_attempt_unsubscribe', 'bridge', 'flag', noEffect('An uplink does not unsubscribe.')],
  [
    'bridge_bind_address',
    'bridge',
    'text',
    noEquivalent('The routes of the system choose the interface.'),
  ],
  ['bridge_cafile', 'bridge', 'text'],
  ['bridge_capath', 'bridge', 'text'],
  ['bridge_certfile', 'bridge', 'text'],
  ['bridge_ciphers', 'bridge', 'text', noEquivalent(CIPHERS)],
  ['bridge_ciphers_tls1.3', 'bridge', 'text', noEquivalent(CIPHERS)],
  ['bridge_identity', 'bridge', 'text', noEquivalent(BRIDGE_PSK)],
  [
    'bridge_insecure',
    'bridge',
    'flag',
    noEquivalent(
      'The name in the certificate is always checked: where it differs from the address, name ' +
        'it in tls.server_name.',
      false,
    ),
  ],
  ['bridge_keyfile', 'bridge', 'text'],
  [
    'bridge_max_packet_size',
    'bridge',
    'integer',
    noEquivalent('The limit that a 5.0 server names is kept; this one cannot be set.', 0),
  ],
  ['bridge_max_topic_alias', 'bridge', 'text', noEffect('An uplink asks for no topic aliases.')],
  ['bridge_mptcp', 'bridge', 'flag', noEquivalent('Connections are plain TCP.', false)],
  ['bridge_outgoing_retain', 'bridge', 'flag'],
  ['bridge_protocol_version', 'bridge', 'text'],
  ['bridge_psk', 'bridge', 'text'],
  [
    'bridge_receive_maximum',
    'bridge',
    'text',
    noEffect('An uplink keeps to what the server names.'),
  ],
  [
    'bridge_reload_type',
    'bridge',
    'text',
    noEffect('A changed uplink takes effect at the next start.'),
  ],
  [
    'bridge_require_ocsp',
    'bridge',
    'flag',
    noEquivalent('Revocation is not asked for (OCSP).', false),
  ],
  [
    'bridge_session_expiry_interval',
    'bridge',
    'text',
    noEffect('What was sent is remembered here, not in a session there.'),
  ],
  [
    'bridge_tcp_keepalive',
    'bridge',
    'text',
    noEffect('stall_timeout ends a link that acknowledges nothing.'),
  ],
  [
    'bridge_tcp_user_timeout',
    'bridge',
    'text',
    noEffect('stall_timeout ends a link that acknowledges nothing.'),
  ],
  ['bridge_tls_use_os_certs', 'bridge', 'flag'],
  [
    'bridge_tls_version',
    'bridge',
    'text',
    noEffect('The best version that both know is used, at least TLS 1.2.'),
  ],
  [
    'cleansession',
    'bridge',
    'flag',
    noEffect(
      'An uplink has a cursor in the ring: nothing is lost while the link is down, and nothing ' +
        'there need be kept.',
    ),
  ],
  ['connection', 'bridge', 'own'],
  ['idle_timeout', 'bridge', 'text', noEffect(LAZY)],
  ['keepalive_interval', 'bridge', 'integer'],
  ['local_cleansession', 'bridge', 'flag', noEffect(LOCAL)],
  ['local_clientid', 'bridge', 'text', noEffect(LOCAL)],
  ['local_password', 'bridge', 'text', noEffect(LOCAL)],
  ['local_username', 'bridge', 'text', noEffect(`${LOCAL} The acl_file does not hold for it.`)],
  ['notification_topic', 'bridge', 'text', noEquivalent(NOTIFICATIONS)],
  ['notifications', 'bridge', 'flag', noEquivalent(NOTIFICATIONS, false)],
  ['notifications_local_only', 'bridge', 'flag', noEquivalent(NOTIFICATIONS, false)],
  ['remote_clientid', 'bridge', 'text'],
  ['remote_password', 'bridge', 'text'],
  ['remote_username', 'bridge', 'text'],
  ['restart_timeout', 'bridge', 'text'],
  [
    'round_robin',
    'bridge',
    'flag',
    noEquivalent('An uplink has one address: let a DNS name stand for several.', false),
  ],
  ['start_type', 'bridge', 'text'],
  ['threshold', 'bridge', 'text', noEffect(LAZY)],
  ['topic', 'bridge', 'own'],
  [
    'try_private',
    'bridge',
    'flag',
    noEffect(
      'An uplink is a client like any other to the server, and never sends back what came from ' +
        'there.',
    ),
  ],
];

/** Other names that Mosquitto accepts. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['addresses', 'address'],
  ['clientid', 'remote_clientid'],
  ['maximum_qos', 'max_qos'],
  ['password', 'remote_password'],
  ['retained_persistence', 'persistence'],
  ['username', 'remote_username'],
]);

const OPTIONS: ReadonlyMap<string, OptionSpec> = new Map(
  [...GENERAL, ...ACCESS, ...LISTENER, ...BRIDGE].map(([name, scope, kind, fate]) => [
    name,
    { scope, kind, fate },
  ]),
);

/** Every option of mosquitto.conf(5), of 2.0 and 2.1, by the name it is known under here. */
export function optionNames(): string[] {
  return [...OPTIONS.keys(), ...ALIASES.keys()];
}

/**
 * What is known of an option, by the name written in the file; undefined where there is none.
 * `name` is the one name of options that have several, and ends in `*` for those of plugins.
 */
export function findOption(written: string): { name: string; spec: OptionSpec } | undefined {
  const family = /^(auth_opt_|plugin_opt_)./.exec(written)?.[1];
  const name = family === undefined ? (ALIASES.get(written) ?? written) : `${family}*`;
  const spec = OPTIONS.get(name);
  return spec && { name, spec };
}
