import { describe, expect, test } from 'vitest';
import { CisternError } from '../../../src/base/errors.ts';
import { type Arguments, parseArguments } from '../../../src/cli/arguments.ts';
import { readProperties } from '../../../src/cli/client-properties.ts';
import { pubCommand } from '../../../src/cli/commands/pub.ts';
import { subCommand } from '../../../src/cli/commands/sub.ts';

const pub = (...argv: string[]): Arguments => parseArguments(pubCommand.spec, argv);
const sub = (...argv: string[]): Arguments => parseArguments(subCommand.spec, argv);

/** The message of the usage error that `run` ends in. */
function usageMessage(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CisternError && error.code === 'USAGE') return error.message;
    throw error;
  }
  return 'no error';
}

describe('options', () => {
  test('are those of mosquitto_pub, short and long', () => {
    const short = pub('-h', 'gw', '-p', '2883', '-t', 'a/b', '-m', 'hi', '-q', '1', '-r');
    const long = pub(
      '--host=gw',
      '--port',
      '2883',
      '--topic',
      'a/b',
      '--message',
      'hi',
      '--qos=1',
      '--retain',
    );
    for (const args of [short, long]) {
      expect(args.text('host')).toBe('gw');
      expect(args.number('port', { min: 1, max: 65_535 })).toBe(2883);
      expect(args.text('topic')).toBe('a/b');
      expect(args.text('message')).toBe('hi');
      expect(args.text('qos')).toBe('1');
      expect(args.has('retain')).toBe(true);
      expect(args.has('null-message')).toBe(false);
    }
  });

  test.each(['-5', '-0.5', '--help me', '-t', '--'])('a message may be %j', (message) => {
    const args = pub('-t', 'a', '-m', message, '-q', '1');
    expect([args.text('message'), args.text('topic'), args.text('qos')]).toEqual([
      message,
      'a',
      '1',
    ]);
  });

  test('switches may stand together, and a value may follow at once', () => {
    const args = pub('-dr', '-q1', '-t', 'a', '-n');
    expect([args.has('debug'), args.has('retain'), args.has('null-message')]).toEqual([
      true,
      true,
      true,
    ]);
    expect(args.text('qos')).toBe('1');
  });

  test('-t may be repeated; of others the last one counts', () => {
    const args = sub('-t', 'a', '-t', 'b', '-q', '0', '-q', '1');
    expect(args.texts('topic')).toEqual(['a', 'b']);
    expect(args.text('qos')).toBe('1');
  });
});

describe('usage errors are one line', () => {
  test.each([
    [['--mesage', 'x'], 'cistern pub: there is no option --mesage. Did you mean --message?'],
    [['-z'], 'cistern pub: there is no option -z'],
    [['-t'], 'cistern pub: -t needs a value (TOPIC)'],
    [['--retain=yes'], 'cistern pub: --retain takes no value'],
    [['a/b'], 'cistern pub: "a/b" is one argument too many'],
    [['-D', 'publish', 'content-type'], 'cistern pub: -D needs COMMAND NAME VALUE'],
    [['-D', 'publish', 'user-property', 'n'], 'cistern pub: -D needs COMMAND NAME VALUE'],
  ])('%j', (argv, message) => {
    expect(usageMessage(() => pub(...argv))).toBe(message);
  });

  test.each(['0', '65536', 'x', '1.5', '', '1e3'])('-p %j is no port', (port) => {
    expect(usageMessage(() => pub('-p', port).number('port', { min: 1, max: 65_535 }))).toBe(
      `cistern pub: -p takes a number from 1 to 65535, not "${port}"`,
    );
  });
});

describe('-D', () => {
  test('takes a property of a packet, among other options', () => {
    const args = pub('-D', 'publish', 'content-type', 'text/csv', '-t', 'a', '-m', '-D');
    expect(readProperties(args).get('publish')).toEqual({
      values: { contentType: 'text/csv' },
      userProperties: {},
    });
    expect([args.text('topic'), args.text('message')]).toEqual(['a', '-D']);
  });

  test('takes a name and a value of a user property, more than once', () => {
    const args = pub(
      ...['-D', 'publish', 'user-property', 'unit', '°C'],
      ...['--property', 'publish', 'user-property', 'unit', 'K'],
      ...['-D', 'connect', 'session-expiry-interval', '60'],
      ...['-D', 'will', 'correlation-data', 'x'],
      ...['-D', 'publish', 'payload-format-indicator', '1'],
    );
    const properties = readProperties(args);
    expect(properties.get('publish')).toEqual({
      values: { payloadFormatIndicator: true },
      userProperties: { unit: ['°C', 'K'] },
    });
    expect(properties.get('connect')?.values).toEqual({ sessionExpiryInterval: 60 });
    expect(properties.get('will')?.values).toEqual({ correlationData: Buffer.from('x') });
  });

  test.each([
    [
      ['fetch', 'content-type', 'x'],
      '-D takes one of connect, publish, subscribe, unsubscribe, disconnect, will, not "fetch"',
    ],
    [['connect', 'content-type', 'x'], '-D connect has no property "content-type"'],
    [['publish', 'colour', 'x'], '-D publish has no property "colour"'],
    [
      ['publish', 'message-expiry-interval', '1h'],
      '-D message-expiry-interval takes a number up to 4294967295, not "1h"',
    ],
    [
      ['publish', 'payload-format-indicator', '2'],
      '-D payload-format-indicator takes 0 or 1, not "2"',
    ],
  ])('%j is refused', (property, message) => {
    expect(usageMessage(() => readProperties(pub('-D', ...property)))).toBe(
      `cistern pub: ${message}`,
    );
  });
});
