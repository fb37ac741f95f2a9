import { describe, expect, test } from 'vitest';
import { findOption, optionNames } from '../../../../src/config/mosquitto/options.ts';
import { convert } from './convert.ts';

/** Every option that mosquitto.conf(5) of 2.0.11 names, and the older names that 2.0.11 accepts. */
const VERSION_2_0 = `
  acl_file allow_anonymous allow_duplicate_messages allow_zero_length_clientid auth_opt_x auth_plugin
  auth_plugin_deny_special_chars auto_id_prefix autosave_interval autosave_on_changes
  check_retain_source clientid_prefixes connection_messages include_dir log_dest log_facility
  log_timestamp log_timestamp_format log_type max_inflight_bytes max_inflight_messages max_keepalive
  max_packet_size max_queued_bytes max_queued_messages memory_limit message_size_limit password_file
  per_listener_settings persistence persistence_file persistence_location
  persistent_client_expiration pid_file plugin plugin_opt_x psk_file queue_qos0_messages
  retain_available set_tcp_nodelay sys_interval upgrade_outgoing_qos user

  bind_address bind_interface http_dir listener max_connections max_qos max_topic_alias mount_point
  port protocol socket_domain use_username_as_clientid websockets_log_level websockets_headers_size
  cafile capath certfile ciphers ciphers_tls1.3 crlfile dhparamfile keyfile require_certificate
  tls_engine tls_engine_kpass_sha1 tls_keyform tls_version use_identity_as_username
  use_subject_as_username psk_hint

  address addresses bridge_attempt_unsubscribe bridge_bind_address bridge_max_packet_size
  bridge_outgoing_retain bridge_protocol_version cleansession local_cleansession connection
  keepalive_interval idle_timeout local_clientid local_password local_username notifications
  notifications_local_only notification_topic remote_clientid remote_password remote_username
  restart_timeout round_robin start_type threshold topic try_private bridge_alpn bridge_cafile
  bridge_capath bridge_certfile bridge_identity bridge_insecure bridge_keyfile bridge_psk
  bridge_require_ocsp bridge_tls_version

  clientid password username maximum_qos retained_persistence retry_interval
`;

/** What 2.1 has beside them. */
const VERSION_2_1 = `
  accept_protocol_versions bridge_ciphers bridge_ciphers_tls1.3 bridge_max_topic_alias bridge_mptcp
  bridge_receive_maximum bridge_reload_type bridge_session_expiry_interval bridge_tcp_keepalive
  bridge_tcp_user_timeout bridge_tls_use_os_certs disable_client_cert_date_checks enable_control_api
  enable_proxy_protocol global_max_clients global_max_connections global_plugin
  listener_allow_anonymous listener_auto_id_prefix max_topic_alias_broker mptcp packet_buffer_size
  plugin_load plugin_use proxy_protocol_v2_require_tls retain_expiry_interval websockets_origin
`;

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');
const all = [...words(VERSION_2_0), ...words(VERSION_2_1)];

/** A value that Mosquitto takes for it. */
const VALUES: Readonly<Record<string, string>> = {
  address: 'h:1',
  addresses: 'h:1',
  listener: '1884',
  port: '1884',
  topic: 'a/# out 1',
  persistent_client_expiration: '2d',
  enable_proxy_protocol: '1',
  restart_timeout: '5 30',
  protocol: 'mqtt',
};
const INTEGERS =
  /^(max_|global_max|memory_limit|message_size|sys_interval|keepalive_int|bridge_max_packet)/;

function valueOf(name: string): string {
  const { spec } = findOption(name) ?? {};
  if (VALUES[name] !== undefined) return VALUES[name];
  if (INTEGERS.test(name) || name === 'maximum_qos') return '20';
  return spec?.kind === 'flag' ? 'true' : '/some/thing';
}

test.each(all)('%s is known', (name) => {
  expect(findOption(name)).toBeDefined();
});

describe('a line of each, where it may stand', () => {
  const before: Readonly<Record<string, string>> = {
    bridge: 'connection c\naddress h\ntopic # out\n',
    listener: 'listener 1883 127.0.0.1\n',
  };

  test.each(all)('%s: named in what comes out, and accepted', async (name) => {
    const { spec } = findOption(name) ?? {};
    const isPlugin = name.includes('_opt_');
    const head =
      name === 'plugin_use'
        ? 'plugin_load /some/thing /p.so\n'
        : name.startsWith('address')
          ? 'connection c\n'
          : isPlugin
            ? 'plugin /p.so\n'
            : (before[spec?.scope ?? ''] ?? '');
    const { toml, attention, checked } = await convert(`${head}${name} ${valueOf(name)}\n`);
    await checked();
    const line = head.split('\n').length;
    expect(toml).toMatch(new RegExp(`m[.]conf:${line}\\b`));
    const known = attention.filter((note) => note.includes(`m.conf:${line}: not understood`));
    expect(known).toEqual([]);
  });
});

test('no option is known under a name that Mosquitto does not have', () => {
  const names = new Set(all.map((name) => name.replace(/_opt_x$/, '_opt_*')));
  // Versions before 2.0 had it, and files still do.
  names.add('store_clean_interval');
  expect(optionNames().filter((name) => !names.has(name))).toEqual([]);
});
