import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { optionNames } from '../../src/config/mosquitto/options.ts';
import { convert } from '../unit/config/mosquitto/convert.ts';

/** Values that people write, and some that nobody should. */
const value = fc.oneof(
  fc.constantFrom(
    ...[
      'true',
      'false',
      '1',
      '0',
      '-1',
      '20',
      '65536',
      '999999999999999',
      '1883',
      '1883 127.0.0.1',
    ],
    ...['0 /run/m.sock', '# out 1', 'a/# both 2 l/ r/', '"" out 1 a b', '# in 1 {x} "', '+/# out'],
    ...['$SYS/# out', 'websockets', 'mqtt', 'tlsv1.1', '/etc/x', 'x', 'h:1883', '::1:1', 'a b c'],
    ...[
      '2d',
      '900y',
      '5 30',
      'all',
      'none',
      'file /x',
      'topic',
      'mqttv50',
      'lazy',
      'cloud',
      '/\x7f',
      '1 a!b',
      '1 ü',
      '',
    ],
  ),
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
);
const option = fc.constantFrom(...optionNames(), 'plugin_opt_acl_file', 'nonsense');
const line = fc.tuple(option, value).map(([name, text]) => `${name} ${text}`);
const section = fc.constantFrom('', 'listener 1883', 'listener 8883 0.0.0.0', 'connection c');
const file = fc
  .array(fc.tuple(section, fc.array(line, { maxLength: 8 })), { maxLength: 5 })
  .map((sections) => sections.flatMap(([head, lines]) => [head, ...lines]).join('\n'));

/** What a terminal, or a reader of TOML, would take for something else than text. */
const CONTROL = /[^\P{Cc}\n]/u;

describe('any text', () => {
  test.each([
    ['of options', file, 1500],
    ['at all', fc.string({ unit: 'binary', maxLength: 200 }), 300],
  ])(
    '%s gives what check accepts, with every line in it, or is refused by its line',
    async (_, texts, numRuns) => {
      await fc.assert(
        fc.asyncProperty(texts, async (text) => {
          const converted = await convert(text).catch((error: unknown) => {
            // The one file that Mosquitto does not start with either, and nobody knows what it means.
            expect(String(error)).toMatch(/m[.]conf:\d+: per_listener_settings stands behind/);
            return undefined;
          });
          if (converted === undefined) return;
          const { toml, checked, opened, attention } = converted;
          await checked();
          opened();
          expect(toml).not.toMatch(CONTROL);
          expect(attention.join('')).not.toMatch(CONTROL);
          const lines = text.split(/\r\n|\n|\r/);
          for (const [index, each] of lines.entries()) {
            if (/^\s*([^\s#]|$)/.test(each) && each.replace('\uFEFF', '').trim() !== '') {
              expect(toml).toMatch(new RegExp(`m[.]conf:${index + 1}\\b`));
            }
          }
        }),
        { numRuns },
      );
    },
    30_000,
  );
});
