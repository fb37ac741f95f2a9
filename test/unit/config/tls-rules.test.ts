import { expect, test } from 'vitest';
import { CisternError } from '../../../src/base/errors.ts';
import { loadConfig } from '../../../src/config/load.ts';
import type { TlsRemark } from '../../../src/config/tls-rules.ts';
import { errorsOf, load } from './load-toml.ts';

const source = (lines: string): string =>
  `[[listener]]\nlisten = "127.0.0.1:8883"\n[listener.tls]\n${lines}`;
const PAIR = 'cert = "c.pem"\nkey = "k.pem"\n';

function loadWith(text: string, remarks: readonly TlsRemark[]) {
  return loadConfig({
    path: 'cistern.toml',
    readText: async () => text,
    examineTls: async ({ cert, key }) =>
      cert === 'c.pem' && key === 'k.pem' ? remarks : [{ ...FAULT, message: 'other files' }],
  });
}

const FAULT: TlsRemark = {
  severity: 'error',
  key: 'key',
  message: 'k.pem is not the key of the certificate in c.pem',
  remedy: 'Name the other one.',
};

test('a file that cannot be used is an error at the line that names it', async () => {
  const failure: unknown = await loadWith(source(PAIR), [FAULT]).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(CisternError);
  expect((failure as CisternError).message).toBe(
    'The configuration has one error:\n' +
      'cistern.toml:5: error: listener[0].tls.key: k.pem is not the key of the certificate in c.pem\n' +
      '    Name the other one.',
  );
});

test('what can be used and should be known is a warning', async () => {
  const remark: TlsRemark = { ...FAULT, severity: 'warning', key: 'cert' };
  const { warnings } = await loadWith(source(PAIR), [remark]);
  expect(warnings).toMatchObject([{ line: 4, key: 'listener[0].tls.cert', severity: 'warning' }]);
});

test('without the files there is nothing to examine, and the keys are missing', async () => {
  const failure: unknown = await loadWith(source(''), [FAULT]).catch((error: unknown) => error);
  const { message } = failure as CisternError;
  expect(message).toContain('listener[0].tls.cert: is missing');
  expect(message).toContain('listener[0].tls.key: is missing');
  expect(message).not.toContain('other files');
});

test.each(['require_client_cert = true', 'user_name_from = "san"'])(
  '%s needs somebody who signs clients',
  async (line) => {
    const [error, ...others] = await errorsOf(source(`${PAIR}${line}`));
    expect(others).toEqual([]);
    expect(error).toContain('listener[0].tls.ca: is missing');
    expect(await errorsOf(source(`${PAIR}ca = "ca.pem"\n${line}`))).toEqual([]);
  },
);

test('a required client certificate opens a listener beyond loopback', async () => {
  const open = '[[listener]]\nlisten = "0.0.0.0:8883"\n[listener.tls]\n';
  expect(await errorsOf(`${open}${PAIR}`)).toHaveLength(1);
  const required = 'ca = "ca.pem"\nrequire_client_cert = true\n';
  const { config } = await load(`${open}${PAIR}${required}`);
  expect(config.listeners[0]).toMatchObject({
    anonymous: false,
    tls: { requireClientCert: true, minVersion: '1.2' },
  });
});

test.each(['mqtt', '/a b', '/a?b', '/ä', ''])('%j is no path of a WebSocket', async (path) => {
  const [error] = await errorsOf(
    `[[listener]]\nlisten = "127.0.0.1:80"\nprotocol = "ws"\npath = "${path}"\n`,
  );
  expect(error).toContain('4: error: listener[0].path:');
});
