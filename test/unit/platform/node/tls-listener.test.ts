import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { TlsOptions } from '../../../../src/platform/network.ts';
import { Authority, type CertificateFiles } from '../../../support/certificates.ts';
import { ListenerBench, tlsOptions } from '../../../support/listener-bench.ts';
import { connectPeer } from '../../../support/listener-peers.ts';
import { waitFor } from '../../../support/wait-for.ts';

let authority: Authority;
let strangers: Authority;
let server: CertificateFiles;
let bench: ListenerBench | undefined;

beforeAll(() => {
  authority = new Authority();
  strangers = new Authority();
  server = authority.issueServer();
});

afterAll(() => {
  authority.remove();
  strangers.remove();
});

afterEach(async () => {
  await bench?.close();
  bench = undefined;
});

async function open(more: Partial<TlsOptions> = {}): Promise<ListenerBench> {
  bench = await ListenerBench.open({ tls: tlsOptions(server, more) });
  return bench;
}

function read(files: CertificateFiles): ConnectionOptions {
  return { cert: readFileSync(files.cert), key: readFileSync(files.key) };
}

/** Connects and says a byte. Fails where the handshake does; a certificate may be refused later. */
async function speak(port: number, more: ConnectionOptions = {}) {
  const peer = await connectPeer(port, { tls: { ca: authority.caText, ...more } });
  peer.send(Buffer.from('!'));
  return peer;
}

describe('a client certificate', () => {
  test('its common name is the user name', async () => {
    const listener = await open({ ca: authority.ca, userNameFrom: 'cn' });
    const device = authority.issue({ subject: '/O=Plant/CN=device 7' });
    await speak(listener.port, read(device));
    expect((await listener.heard(0)).tls).toEqual({ userName: 'device 7' });
  });

  test.each([
    ['DNS:pump.plant,email:a@b.c,URI:urn:x', 'pump.plant'],
    ['URI:urn:dev:1,email:pump@plant', 'pump@plant'],
    ['URI:urn:dev:1', 'urn:dev:1'],
  ])('or its alternative name: %s', async (alternativeNames, userName) => {
    const listener = await open({ ca: authority.ca, userNameFrom: 'san' });
    const device = authority.issue({ subject: '/CN=other', alternativeNames });
    await speak(listener.port, read(device));
    expect((await listener.heard(0)).tls).toEqual({ userName });
  });

  test('without user_name_from it proves no name', async () => {
    const listener = await open({ ca: authority.ca });
    await speak(listener.port, read(authority.issue({ subject: '/CN=device' })));
    expect((await listener.heard(0)).tls).toEqual({ userName: undefined });
  });

  test('who shows none is let through where none is required, with no name', async () => {
    const listener = await open({ ca: authority.ca, userNameFrom: 'cn' });
    await speak(listener.port);
    expect((await listener.heard(0)).tls).toEqual({ userName: undefined });
  });

  test('a name that the peer only claims is none: another authority is refused', async () => {
    const listener = await open({ ca: authority.ca, userNameFrom: 'cn' });
    const stranger = strangers.issue({ subject: '/CN=admin' });
    const peer = await speak(listener.port, read(stranger));
    await waitFor('the end', () => peer.isClosed);
    expect(await listener.failure()).toMatchObject({ layer: 'tls' });
    expect(listener.failures[0]?.reason).toMatch(/certificate is refused/);
    expect(listener.received(0)).toHaveLength(0);
  });

  test('one that has ended is refused', async () => {
    const listener = await open({ ca: authority.ca });
    const late = authority.issue({ subject: '/CN=late', endsAt: '20250101000000Z' });
    const peer = await speak(listener.port, read(late));
    await waitFor('the end', () => peer.isClosed);
    expect((await listener.failure()).reason).toContain('CERT_HAS_EXPIRED');
  });

  test('one without the part that holds the user name is refused', async () => {
    const listener = await open({ ca: authority.ca, userNameFrom: 'san' });
    const peer = await speak(listener.port, read(authority.issue({ subject: '/CN=device' })));
    await waitFor('the end', () => peer.isClosed);
    expect((await listener.failure()).reason).toBe(
      "the client's certificate has no SAN for a user name",
    );
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'required: others do not get through (%s)',
    async (version) => {
      const listener = await open({ ca: authority.ca, requireClientCert: true });
      const versions = { minVersion: version, maxVersion: version };
      const none = await speak(listener.port, versions).catch(() => undefined);
      if (none !== undefined) await waitFor('the end', () => none.isClosed);
      const foreign = { ...read(strangers.issue({ subject: '/CN=x' })), ...versions };
      const stranger = await speak(listener.port, foreign).catch(() => undefined);
      if (stranger !== undefined) await waitFor('the end', () => stranger.isClosed);
      await waitFor('both to be noted', () => listener.failures.length === 2);
      const late = { ...read(authority.issue({ subject: '/CN=x', endsAt: '20250101000000Z' })) };
      const ended = await speak(listener.port, { ...late, ...versions }).catch(() => undefined);
      if (ended !== undefined) await waitFor('the end', () => ended.isClosed);
      await waitFor('the last to be noted', () => listener.failures.length === 3);
      expect(listener.failures.map(({ reason }) => reason)).toEqual([
        'the client shows no certificate',
        "the client's certificate is refused: UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        "the client's certificate is refused: CERT_HAS_EXPIRED",
      ]);
      expect(listener.received(0)).toHaveLength(0);
      expect(listener.received(1)).toHaveLength(0);
      await speak(listener.port, { ...read(authority.issue({ subject: '/CN=x' })), ...versions });
      expect(await listener.heard(3)).toBeDefined();
    },
  );

  test('a session that is resumed has the same name', async () => {
    const listener = await open({ ca: authority.ca, requireClientCert: true, userNameFrom: 'cn' });
    const device = read(authority.issue({ subject: '/CN=device' }));
    const options = {
      port: listener.port,
      ca: authority.caText,
      servername: 'localhost',
      ...device,
    };
    const first = connectTls(options);
    const session = await new Promise<Buffer>((resolve) => first.once('session', resolve));
    // Node loses what a client writes while it is being told of a session.
    setImmediate(() => first.write('!'));
    await listener.heard(0);
    first.destroy();
    const second: TLSSocket = connectTls({ ...options, session });
    second.write('!');
    expect((await listener.heard(1)).tls).toEqual({ userName: 'device' });
    expect(second.isSessionReused()).toBe(true);
    second.destroy();
  });
});

describe('versions', () => {
  test('1.3 at least: a client of 1.2 is refused, and counted', async () => {
    const listener = await open({ minVersion: '1.3' });
    await expect(speak(listener.port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/version|closed/);
    expect((await listener.failure()).reason).toBe(
      'the peer speaks only a TLS version that is too old',
    );
  });

  test('any server name is answered with the one certificate', async () => {
    const listener = await open();
    const client = { servername: 'elsewhere.example', checkServerIdentity: () => undefined };
    await speak(listener.port, client);
    expect(await listener.heard(0)).toBeDefined();
  });
});

describe('a peer that does not speak TLS', () => {
  test.each([
    ['plain MQTT', Buffer.from([0x10, 12, 0, 4, 77, 81, 84, 84, 4, 2, 0, 60, 0, 0])],
    ['plain HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ])('is closed, with the reason: %s', async (_, bytes) => {
    const listener = await open();
    const client = connectTcp(listener.port, '127.0.0.1');
    client.on('error', () => undefined);
    client.write(bytes);
    const { layer, reason } = await listener.failure();
    expect(layer).toBe('tls');
    expect(reason).toMatch(/^the peer (does not speak TLS|speaks HTTP without TLS)$/);
    await waitFor('the end', () => client.destroyed);
  });

  test('one that leaves without a word is a health check, not a failure', async () => {
    const listener = await open();
    const client = connectTcp(listener.port, '127.0.0.1');
    let closes = 0;
    await waitFor('the socket', () => listener.sockets.length === 1);
    const [socket] = listener.sockets;
    if (socket !== undefined) socket.onClose = () => (closes += 1);
    client.end();
    await waitFor('the close', () => closes === 1);
    expect(listener.failures).toEqual([]);
  });
});

describe('new files', () => {
  function install(files: CertificateFiles, into: CertificateFiles): void {
    copyFileSync(files.cert, into.cert);
    copyFileSync(files.key, into.key);
  }

  async function serialOf(port: number): Promise<string> {
    const client = connectTls({ port, ca: authority.caText, servername: 'localhost' });
    await new Promise((resolve) => client.once('secureConnect', resolve));
    const { serialNumber } = client.getPeerCertificate();
    client.destroy();
    return serialNumber;
  }

  async function openOwn(): Promise<{ listener: ListenerBench; files: CertificateFiles }> {
    const folder = authority.folder;
    const files = { cert: join(folder, 'served.pem'), key: join(folder, 'served.key') };
    install(authority.issueServer(), files);
    bench = await ListenerBench.open({ tls: tlsOptions(files) });
    return { listener: bench, files };
  }

  test('are shown from the next connection on, and those that are open stay', async () => {
    const { listener, files } = await openOwn();
    const open = await speak(listener.port);
    await listener.heard(0);
    const before = await serialOf(listener.port);
    install(authority.issueServer(), files);
    await listener.listener.tls?.reload();
    expect(await serialOf(listener.port)).not.toBe(before);
    open.send(Buffer.from('still here'));
    await waitFor('the old connection', () => listener.received(0).toString() === '!still here');
    listener.sockets[0]?.write(Buffer.from('and back'));
    await waitFor('the way back', () => open.received.toString() === 'and back');
  });

  test.each([
    ['half of a pair', (files: CertificateFiles) => copyFileSync(server.cert, files.cert)],
    ['an empty file', (files: CertificateFiles) => writeFileSync(files.cert, '')],
    [
      'one that has already ended',
      (files: CertificateFiles) =>
        install(authority.issueServer({ endsAt: '20250101000000Z' }), files),
    ],
  ])('that cannot be used leave the old ones in place: %s', async (_, spoil) => {
    const { listener, files } = await openOwn();
    const before = await serialOf(listener.port);
    spoil(files);
    await expect(listener.listener.tls?.reload()).rejects.toMatchObject({ code: 'TLS_UNUSABLE' });
    expect(await serialOf(listener.port)).toBe(before);
  });
});

test('files that cannot be used: the listener is not opened', async () => {
  const options = { tls: tlsOptions({ cert: server.key, key: server.key }) };
  await expect(ListenerBench.open(options)).rejects.toMatchObject({ code: 'TLS_UNUSABLE' });
});
