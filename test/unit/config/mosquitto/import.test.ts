import { describe, expect, test } from 'vitest';
import { CONFIGURATIONS } from './configurations.ts';
import { convert } from './convert.ts';

const named = (name: string): string => CONFIGURATIONS[name] ?? '';

describe.each(Object.entries(CONFIGURATIONS))('%s', (_, text) => {
  test('gives what check accepts', async () => {
    const { config } = await (await convert(text)).checked();
    expect(config.storage.path).not.toBe('./cistern-data');
  });

  test('has every line in it', async () => {
    const { toml } = await convert(text);
    const lines = text
      .split('\n')
      .flatMap((line, index) => (/^[^#]/.test(line) ? [index + 1] : []));
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.filter((line) => !new RegExp(`m[.]conf:${line}\\b`).test(toml))).toEqual([]);
  });
});

test.each([
  'allow_anonymous false\nper_listener_settings true\nlistener 1884\nallow_anonymous true',
  'listener 1884\nacl_file /acl\nper_listener_settings true',
  'plugin /p.so\nper_listener_settings true',
])('a file that Mosquitto itself refuses is not guessed at: %j', async (text) => {
  const line = text.split('\n').indexOf('per_listener_settings true') + 1;
  await expect(convert(text)).rejects.toThrow(
    `m.conf:${line}: per_listener_settings stands behind`,
  );
  const moved = text.replace('\nper_listener_settings true', '');
  expect((await convert(`per_listener_settings true\n${moved}`)).toml).toContain('[[listener]]');
});

describe('listeners', () => {
  test('none is loopback, and open to all there', async () => {
    const { config } = await (await convert(named('debian.conf'))).checked();
    expect(config.listeners).toMatchObject([{ listen: '127.0.0.1:1883', anonymous: true }]);
    expect(config.storage.path).toBe('/var/lib/cistern');
  });

  test('the default one opens to the network as soon as a line is about it', async () => {
    for (const line of ['port 1884', 'max_connections 5', 'ciphers X\nciphers Y']) {
      const { opened } = await convert(`${line}\nallow_anonymous true`);
      const listen = line === 'port 1884' ? ':1884' : ':1883';
      expect(opened()['listener']).toMatchObject([{ listen, anonymous: true }]);
    }
    const { opened } = await convert('port 1884\nlistener 1885\nallow_anonymous true');
    expect(opened()['listener']).toMatchObject([{ listen: ':1884' }, { listen: ':1885' }]);
  });

  test('one for the whole network stays as open as it was', async () => {
    const { config } = await (await convert(named('open-lan.conf'))).checked();
    expect(config.listeners).toMatchObject([{ listen: '0.0.0.0:1883', anonymous: true }]);
  });

  test('passwords and certificates keep their paths', async () => {
    const converted = await convert(named('passwords-and-tls.conf'));
    expect(converted.opened()).toMatchObject({
      auth: { password_file: '/etc/mosquitto/passwd', acl_file: '/etc/mosquitto/acl' },
      listener: [
        { listen: '127.0.0.1:1883', anonymous: false },
        {
          listen: ':8883',
          anonymous: false,
          tls: {
            cert: '/etc/letsencrypt/live/mqtt.example.org/cert.pem',
            key: '/etc/letsencrypt/live/mqtt.example.org/privkey.pem',
            min_version: '1.2',
          },
        },
      ],
    });
    expect(converted.attention.join('\n')).toContain('fullchain.pem');
  });

  test('certificates of clients tell who they are', async () => {
    const { listener } = (await convert(named('client-certificates.conf'))).opened();
    expect(listener).toMatchObject([
      {
        tls: {
          ca: '/etc/mosquitto/ca/ca.crt',
          require_client_cert: true,
          user_name_from: 'cn',
          min_version: '1.3',
        },
      },
    ]);
  });

  test('WebSocket, a family of addresses, and connections counted together', async () => {
    const { opened, attention } = await convert(named('docker-websockets.conf'));
    expect(opened()).toMatchObject({
      storage: { path: '/mosquitto/data/cistern' },
      log: { level: 'warn' },
      listener: [
        { listen: ':1883', anonymous: true },
        { listen: '0.0.0.0:9001', protocol: 'ws', path: '/mqtt', anonymous: true },
      ],
    });
    expect(opened()).not.toHaveProperty('limits');
    expect(attention.join('\n')).toMatch(/m.conf:12: differs: max_connections: .*none is set/);
  });

  test('with settings of their own have files of their own', async () => {
    const { opened } = await convert(named('per-listener.conf'));
    expect(opened()).not.toHaveProperty('auth');
    expect(opened()['listener']).toMatchObject([
      { listen: '127.0.0.1:1883', anonymous: true },
      {
        anonymous: false,
        auth: {
          password_file: '/etc/mosquitto/devices.passwd',
          acl_file: '/etc/mosquitto/devices.acl',
        },
      },
      { protocol: 'ws', anonymous: true, auth: { acl_file: '/etc/mosquitto/guests.acl' } },
    ]);
  });

  test('of Mosquitto 2.1 have the files of its plugins', async () => {
    const { opened, withoutEffect } = await convert(named('version-2.1.conf'));
    expect(opened()).toMatchObject({
      storage: { segment: '16MiB' },
      limits: { connections: 500, packet_size: '2MB' },
      listener: [
        {
          anonymous: false,
          auth: { password_file: '/mosquitto/auth/passwd', acl_file: '/mosquitto/auth/acl' },
        },
        { listen: '127.0.0.1:1884', anonymous: true, proxy_protocol: true },
      ],
    });
    expect(withoutEffect.join('\n')).toContain('m.conf:8: no effect: plugin: Messages');
  });
});

describe('what would be more open than it was does not open', () => {
  test.each([
    ['nobody could come in', 'listener 1883', 'listener 1883'],
    ['a plugin decided', 'listener 1883\nallow_anonymous true\nplugin /x/dynsec.so', 'dynsec'],
    ['keys in place of certificates', 'listener 1\nallow_anonymous true\npsk_hint h', 'psk_hint'],
    ['topics of one group', 'listener 1\nallow_anonymous true\nmount_point a/', 'mount_point'],
    ['one interface', 'listener 1\nallow_anonymous true\nbind_interface eth0', 'eth0'],
    ['a Unix socket', 'listener 0 /run/m.sock\nallow_anonymous true', '/run/m.sock'],
    ['a host that is none', 'listener 1 a!b\nallow_anonymous true', 'not a host'],
    ['half of TLS', 'listener 1\nallow_anonymous true\ncertfile /c', 'keyfile'],
    [
      'revoked certificates',
      'listener 1\ncertfile /c\nkeyfile /k\ncafile /a\nrequire_certificate true\ncrlfile /r',
      'crlfile',
    ],
    [
      'authorities in a directory',
      'listener 1\ncertfile /c\nkeyfile /k\ncapath /a\nrequire_certificate true',
      'ca is missing',
    ],
    [
      'another protocol',
      'listener 1 127.0.0.1\nallow_anonymous true\nprotocol http_api',
      'http_api',
    ],
    ['a listener that cannot be read', 'listener x\nallow_anonymous true', 'not understood'],
  ])('%s', async (_, text, reason) => {
    const { checked, attention } = await convert(text);
    const { config } = await checked();
    expect(config.listeners).toMatchObject([{ listen: '127.0.0.1:1883' }]);
    expect(attention.join('\n')).toContain('does nothing');
    expect(attention.join('\n')).toContain(reason);
  });

  test('nobody is told to open to all what a plugin guarded', async () => {
    const { toml, attention } = await convert(named('plugins.conf'));
    expect(toml + attention.join('')).not.toContain('anonymous = true');
    expect((await convert('listener 1883')).attention.join('')).toContain('anonymous = true');
  });

  test('two of one address', async () => {
    const { config } = await (
      await convert('listener 1883 0.0.0.0\nlistener 1883 0.0.0.0\nallow_anonymous true')
    ).checked();
    expect(config.listeners).toHaveLength(1);
  });

  test.each([
    'listener 1883\nlistener 1883 10.0.0.1\nallow_anonymous true',
    'listener 1883 127.0.0.1\nlistener 9883\nallow_anonymous true',
  ])('two of which one has the address of the other: %j', async (text) => {
    const { checked, attention } = await convert(text);
    expect((await checked()).config.listeners).toHaveLength(1);
    expect(attention.join('\n')).toContain('is taken already');
  });

  test('a client without a name beside passwords is told of', async () => {
    const { attention } = await convert(
      'listener 1\ncertfile /c\nkeyfile /k\ncafile /a\nrequire_certificate true\npassword_file /p',
    );
    expect(attention.join('\n')).toContain('m.conf:5: differs: require_certificate');
  });
});

test('user names that nobody proved have no rights of their own, and the import says so', async () => {
  const open = await convert('listener 1883\nallow_anonymous true\nacl_file /etc/acl');
  expect(open.attention.join('\n')).toMatch(/m\.conf:3: differs: acl_file: .*not proven/);
  const closed = await convert(
    'listener 1883\nallow_anonymous true\nacl_file /etc/acl\npassword_file /etc/pw',
  );
  expect(closed.attention.join('\n')).not.toContain('not proven');
});

describe('limits', () => {
  test('are carried over', async () => {
    const { checked } = await convert(named('old-style.conf'));
    const { config } = await checked();
    expect(config.limits).toMatchObject({
      inflight: 10,
      sessionQueueMessages: 5000,
      sessionQueueBytes: 10_000_000,
      packetSizeBytes: 131_072 + 8192,
      sessionExpiryMaxMs: 60 * 86_400_000,
    });
    expect(config.listeners).toMatchObject([{ listen: '192.168.1.10:1883', anonymous: true }]);
  });

  test.each([
    ['persistent_client_expiration 90s', { sessionExpiryMaxMs: 90_000 }],
    ['persistent_client_expiration 1y', { sessionExpiryMaxMs: 365 * 86_400_000 }],
    ['persistent_client_expiration 900y', { sessionExpiryMaxMs: 4_294_967_294_000 }],
    ['max_inflight_messages 0', { inflight: 65_535 }],
    ['max_packet_size 268435455', { packetSizeBytes: 2 * 2 ** 20 }],
    ['max_packet_size 4000\nmessage_size_limit 100', { packetSizeBytes: 4000 }],
    ['max_queued_messages 0', { sessionQueueMessages: 100_000 }],
    ['listener 1\nallow_anonymous true\nmax_connections 7', { connections: 7 }],
    ['max_inflight_messages 5\nmax_inflight_messages 6', { inflight: 6 }],
  ])('%s', async (text, limits) => {
    const { config } = await (await convert(text)).checked();
    expect(config.limits).toMatchObject(limits);
  });

  test.each([
    ['', 'info'],
    ['log_type all', 'debug'],
    ['log_type error\nlog_type notice', 'info'],
    ['log_type warning', 'warn'],
    ['log_type error', 'error'],
    ['log_dest none', 'error'],
  ])('log: %j is %s', async (text, level) => {
    expect((await (await convert(text)).checked()).config.log.level).toBe(level);
  });
});

describe('bridges', () => {
  test('share what they both send', async () => {
    const { opened } = await convert(named('site-to-cloud.conf'));
    expect(opened()).toMatchObject({
      stream: [
        { name: 'cloud-archive', topics: ['sensors/+/#'] },
        { name: 'cloud-2', topics: ['alarms/+'] },
        { name: 'archive', topics: ['sensors/#'] },
      ],
      uplink: [
        { name: 'cloud', streams: ['cloud-archive'], backoff: { base: '5s', cap: '60s' } },
        { name: 'cloud-2', streams: ['cloud-2'] },
        { name: 'archive', streams: ['cloud-archive', 'archive'] },
      ],
    });
    expect(opened()['uplink']).toMatchObject([
      {
        mqtt: {
          url: 'mqtt://broker.example.com:1883',
          version: 5,
          qos: 1,
          topic: 'site-7/{topic[1:]}',
          client_id: 'site-7',
          keep_alive: '30s',
          username: 'site-7',
          password: 'file:/etc/cistern/cloud.password',
          downlink: [{ filter: 'site-7/config/#', topic: '{topic[1:]}', qos: 1 }],
        },
      },
      { mqtt: { qos: 2, topic: '{topic}', client_id: 'site-7-2' } },
      { mqtt: { url: 'mqtt://10.0.0.5:1884', version: '3.1.1', qos: 1, topic: '{topic}' } },
    ]);
  });

  test('without TLS run as they are', async () => {
    const { config } = await (await convert(named('site-to-cloud.conf'))).checked();
    expect(config.uplinks.map(({ name }) => name)).toEqual(['cloud', 'cloud-2', 'archive']);
    expect(config.streams.map(({ name }) => name)).toEqual(['cloud-archive', 'cloud-2', 'archive']);
  });

  test('that send everything need no stream', async () => {
    const { config } = await (await convert('connection a\naddress h:1\ntopic # out 1')).checked();
    expect(config.streams).toMatchObject([{ name: 'default', topics: ['#'] }]);
    expect(config.uplinks).toMatchObject([{ name: 'a', target: { url: 'mqtt://h:1' } }]);
  });

  test('with TLS', async () => {
    const { opened } = await convert(named('aws-iot.conf'));
    expect(opened()).toMatchObject({
      stream: [{ name: 'awsiot', topics: ['localgateway_to_awsiot', 'both_directions'] }],
      uplink: [
        {
          mqtt: {
            url: 'mqtts://a1b2c3d4e5f6g7-ats.iot.eu-central-1.amazonaws.com:8883',
            version: '3.1.1',
            client_id: 'bridgeawsiot',
            tls: {
              ca: '/etc/mosquitto/certs/rootCA.pem',
              cert: '/etc/mosquitto/certs/cert.crt',
              key: '/etc/mosquitto/certs/private.key',
            },
            downlink: [
              { filter: 'awsiot_to_localgateway', topic: '{topic}', qos: 1 },
              { filter: 'both_directions', topic: '{topic}', qos: 1 },
            ],
          },
        },
      ],
    });
  });

  test.each([
    ['this gateway itself', 'connection a\naddress 127.0.0.1\ntopic # out'],
    ['has no address', 'connection a\ntopic # out'],
    ['its address is none', 'connection a\naddress u:p@h:1\ntopic # out'],
    ['no topic to send up', 'connection a\naddress h\ntopic x in'],
    ['no template', 'connection a\naddress h\ntopic + out 0 a/ {b}/'],
    ['no pre-shared-key', 'connection a\naddress h\ntopic # out\nbridge_psk 00'],
    ['no user name', 'connection a\naddress h\ntopic # out\nremote_password p'],
    ['the place of one', 'connection a\naddress h\ntopic # out\nremote_username file:x'],
  ])('%s: held back', async (reason, text) => {
    const { checked, attention } = await convert(text);
    expect((await checked()).config.uplinks).toEqual([]);
    expect(attention.join('\n')).toContain(reason);
  });

  test('an IPv6 address has brackets, a name that is none becomes one', async () => {
    const { config } = await (
      await convert('connection ä b\naddress ::1:1883\ntopic # out')
    ).checked();
    expect(config.uplinks).toMatchObject([
      { name: 'bridge', target: { url: 'mqtt://[::1]:1883' } },
    ]);
  });
});

describe('no secret is printed', () => {
  test.each([
    ['connection a\naddress h\ntopic # out\nremote_username u\nremote_password hunter2'],
    ['connection a\naddress h\ntopic # out\nremote_pasword hunter2'],
    ['password hunter2'],
    ['connection a\nbridge_identity i\nbridge_psk hunter2'],
    ['plugin /x.so\nauth_opt_db_password hunter2'],
    ['auth_opt_db_password hunter2'],
  ])('%j', async (text) => {
    const { toml, attention, withoutEffect } = await convert(text);
    expect(toml + attention.join() + withoutEffect.join()).not.toContain('hunter2');
  });

  test('the command that takes it out of the file is', async () => {
    const text = 'connection a\naddress h\ntopic # out\nremote_username u\nremote_password x';
    const { attention } = await convert(text);
    expect(attention.join('\n')).toContain(
      "sed -n '5s/^ *[a-z_]* *//p' 'm.conf' | install -D -m 600 /dev/stdin /etc/cistern/a.password",
    );
  });
});

describe('lines', () => {
  test('that nobody knows are named with what was meant, and the rest goes on', async () => {
    const { attention, checked } = await convert('alow_anonymous true\nfoo bar\nlog_type error');
    expect(attention).toEqual([
      'm.conf:1: not understood: alow_anonymous: "alow_anonymous true": Did you mean "allow_anonymous"?',
      'm.conf:2: not understood: foo: "foo bar": Mosquitto 2.0 and 2.1 have no such option.',
    ]);
    expect((await checked()).config.log.level).toBe('error');
  });

  test.each([
    'allow_anonymous TRUE',
    'max_inflight_messages ten',
    'password_file',
    'topic # out',
    'plugin_opt_a b',
    'plugin_use none',
    'persistent_client_expiration 3x',
    'port 0',
    'connection a\ntopic a/# sideways',
    'connection a\ntopic a/# out 3',
    'connection a\ntopic a/# out 1 +/',
    'connection a\ntopic "" out 1 a',
    'connection a\ntopic a#b out',
  ])('%j is not understood', async (text) => {
    const line = text.split('\n').length;
    expect((await convert(text)).attention.join('\n')).toContain(
      `m.conf:${line}: not understood: `,
    );
  });

  test('may be indented, end as in Windows, and begin with a mark', async () => {
    const text = '\uFEFFlistener 1884 127.0.0.1\r\n  # why not\r\n  allow_anonymous true  \r\n';
    const { config } = await (await convert(text)).checked();
    expect(config.listeners).toMatchObject([{ listen: '127.0.0.1:1884', anonymous: true }]);
  });

  test('of included files are read in the order of Mosquitto, each from a beginning of its own', async () => {
    const { checked, withoutEffect, attention } = await convert(
      'listener 1883 127.0.0.1\nallow_anonymous true\ninclude_dir c.d\nmax_connections 9\ninclude_dir none',
      {
        'c.d/b.conf': 'max_inflight_messages 3\n',
        'c.d/B.conf': 'max_inflight_messages 2\ninclude_dir deeper\n',
        'c.d/a.conf': 'max_inflight_messages 1\nlistener 1884 127.0.0.1\nmax_connections 5\n',
        'c.d/readme.txt': 'max_inflight_messages 4\n',
      },
    );
    const { config } = await checked();
    expect(config.limits).toMatchObject({ inflight: 3, connections: 14 });
    expect(withoutEffect.join('\n')).toContain('a.conf, B.conf, b.conf of it is read in');
    expect(attention.join('\n')).toContain('m.conf:5: to do: include_dir: none cannot be read');
    expect(attention.join('\n')).toContain('c.d/B.conf:2: not understood: include_dir');
  });

  test('a file that cannot be read is an error of the configuration', async () => {
    const { importMosquitto } = await import('../../../../src/config/mosquitto/import.ts');
    const gone = (): Promise<never> => Promise.reject(new Error('gone'));
    await expect(
      importMosquitto('none.conf', { readText: gone, listDirectory: gone }),
    ).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
  });

  test('a relative path is told of', async () => {
    const { attention } = await convert('allow_anonymous true\npassword_file passwd');
    expect(attention.join('\n')).toContain('m.conf:2: to do: path: "passwd" is relative');
  });
});
