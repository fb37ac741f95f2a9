import { describe, expect, test } from 'vitest';
import type { Status } from '../../../src/admin/status.ts';
import { compileFormat, type ShownMessage } from '../../../src/cli/message-format.ts';
import { createProgress } from '../../../src/cli/progress.ts';
import { readAll, splitLines } from '../../../src/cli/split-lines.ts';
import { describeStart } from '../../../src/cli/start-report.ts';
import { formatStatus } from '../../../src/cli/status-text.ts';
import { formatWear } from '../../../src/cli/wear-text.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { exampleStatus } from '../admin/example-status.ts';

async function* chunks(...texts: (string | Buffer)[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield await Promise.resolve(Buffer.from(text as string));
}

describe('lines of standard input', () => {
  const linesOf = async (...texts: (string | Buffer)[]): Promise<string[]> => {
    const lines: string[] = [];
    for await (const line of splitLines(chunks(...texts))) lines.push(line.toString('latin1'));
    return lines;
  };

  test.each([
    ['one', ['a\n'], ['a']],
    ['split anywhere', ['a', 'b\nc', '\n'], ['ab', 'c']],
    ['without a last line break', ['a\nb'], ['a', 'b']],
    ['empty ones', ['\n\na\n'], ['', '', 'a']],
    ['of Windows', ['a\r', '\nb\r\n'], ['a', 'b']],
    ['none', [], []],
  ])('%s', async (_, texts, lines) => {
    expect(await linesOf(...texts)).toEqual(lines);
  });

  test('need not be UTF-8', async () => {
    expect(await linesOf(Buffer.from([0xff, 0x00, 0x0a, 0xfe]))).toEqual(['\xff\0', '\xfe']);
  });

  test('the whole of it keeps its line breaks', async () => {
    expect((await readAll(chunks('a\n', 'b\n'))).toString()).toBe('a\nb\n');
  });
});

describe('sub -F', () => {
  const message: ShownMessage = {
    topic: 'sensors/1',
    payload: Buffer.from('{"t":21.5}'),
    qos: 1,
    retain: true,
    packetId: 7,
    wallMs: Date.UTC(2024, 1, 29, 23, 59, 59, 7),
    properties: { contentType: 'application/json', userProperties: { a: ['1', '2'], b: '3' } },
  };
  const shown = (format: string, of = message): string | undefined =>
    compileFormat(format)?.(of).toString();

  test.each([
    ['%t %p', 'sensors/1 {"t":21.5}'],
    ['%q|%r|%m|%l', '1|1|7|10'],
    ['%I', '2024-02-29T23:59:59.007Z'],
    ['%U', '1709251199.007'],
    ['%x', '7b2274223a32312e357d'],
    ['%X', '7B2274223A32312E357D'],
    ['%C (%P) %R', 'application/json (a:1 a:2 b:3) '],
    ['100%%\\t\\n\\\\', '100%\t\n\\'],
    ['\\q', '\\q'],
  ])('%s', (format, text) => {
    expect(shown(format)).toBe(text);
  });

  test('%j has the payload as text, %J as a value', () => {
    expect(JSON.parse(shown('%j') ?? '')).toMatchObject({ payload: '{"t":21.5}', qos: 1, mid: 7 });
    expect(JSON.parse(shown('%J') ?? '')).toMatchObject({ payload: { t: 21.5 } });
    const text = { ...message, payload: Buffer.from('no JSON') };
    expect(JSON.parse(shown('%J', text) ?? '')).toMatchObject({ payload: 'no JSON' });
  });

  test('a payload that is not text comes out byte by byte', () => {
    const payload = Buffer.from([0xff, 0x00, 0x80]);
    expect(compileFormat('%p')?.({ ...message, payload })).toEqual(payload);
  });

  test.each(['%y', '%', 'a%'])('%j has an unknown field', (format) => {
    expect(compileFormat(format)).toBeUndefined();
  });
});

describe('progress', () => {
  const show = (isTTY: boolean): string[] => {
    const written: string[] = [];
    const output = { isTTY, write: (text: string | Uint8Array) => written.push(String(text)) };
    const progress = createProgress('Making the ring', output);
    for (let done = 0; done <= 256; done++) progress(done * 2 ** 20, 2 ** 28);
    return written;
  };

  test('in a file is a line every 10 %', () => {
    const lines = show(false);
    expect(lines).toHaveLength(11);
    expect(lines[1]).toBe('Making the ring: 10 % of 256 MiB\n');
    expect(lines.at(-1)).toBe('Making the ring: 100 % of 256 MiB\n');
  });

  test('on a terminal is one line, written over', () => {
    const written = show(true);
    expect(written).toHaveLength(101);
    expect(written.every((text) => text.startsWith('\r'))).toBe(true);
    expect(written.filter((text) => text.includes('\n'))).toEqual([
      '\rMaking the ring: 100 % of 256 MiB\n',
    ]);
  });
});

describe('what a start prints', () => {
  const start = async (source: string | undefined, addresses: string[]): Promise<string> => {
    const { config } = await loadConfig({
      path: source === undefined ? undefined : 'c.toml',
      readText: () => Promise.resolve(source ?? ''),
    });
    const listeners = addresses.map((address) => ({ protocol: 'mqtt', address }));
    const isLocalOnly = addresses.every((address) => address.startsWith('127.'));
    const adminAddress = '127.0.0.1:9883';
    return describeStart({
      version: '1',
      nodeId: 'n',
      config,
      listeners,
      adminAddress,
      isLocalOnly,
    });
  };

  test('says where everything is, and how to open it', async () => {
    expect(await start(undefined, ['127.0.0.1:1883'])).toBe(
      [
        'Cistern 1 runs as n.',
        '  data     ./cistern-data, a ring of 256 MiB',
        '  mqtt     127.0.0.1:1883 (this machine only)',
        '  admin    http://127.0.0.1:9883/api/v1/status (or: cistern status)',
        '  stream   default: #',
        '  uplink   none: messages stay in the ring',
        '',
        'To open it to your network, to those who know a password, stop it and run these two commands:',
        '  cistern passwd passwords me',
        '  cistern run --listen 0.0.0.0:1883 --password-file passwords',
        '',
      ].join('\n'),
    );
  });

  test('what it proposes is a gateway that opens, to those with a password alone', async () => {
    const text = await start(undefined, ['127.0.0.1:1883']);
    const [, listen, passwordFile] = /--listen (\S+) --password-file (\S+)$/m.exec(text) ?? [];
    const { config } = await loadConfig({
      overrides: { listen, passwordFile },
      readText: () => Promise.reject(new Error('no file')),
    });
    expect(config.listeners).toMatchObject([{ listen: '0.0.0.0:1883', anonymous: false }]);
  });

  test.each([
    ['', 'cistern status'],
    ['listen = "127.0.0.1:9884"', 'cistern status --config c.toml'],
    ['token = "s3cret"', 'cistern status --config c.toml'],
    ['listen = "127.0.0.1:0"', 'cistern status --admin 127.0.0.1:9883'],
  ])('names the command that asks this gateway: [admin] %s', async (line, command) => {
    const text = await start(`[admin]\n${line}`, ['127.0.0.1:1883']);
    expect(text).toContain(`/api/v1/status (or: ${command})\n`);
  });

  test('one who wrote a configuration is not told how to', async () => {
    expect(await start('', ['127.0.0.1:1883'])).not.toContain('To open it');
  });

  test('an uplink without its secrets', async () => {
    const source =
      '[[uplink]]\nname = "cloud"\n' +
      'mqtt = { url = "mqtt://up:1883", username = "me", password = "hunter2" }';
    const text = await start(source, ['127.0.0.1:1883']);
    expect(text).toContain('  uplink   cloud: default to mqtt://up:1883\n');
    expect(text).not.toContain('hunter2');
  });
});

describe('the status page', () => {
  test('fits a screen and names what is wrong first', () => {
    const lines = formatStatus(exampleStatus()).split('\n');
    expect(lines.length).toBeLessThan(24);
    expect(lines[1]).toBe('ALARM UPSTREAM_UNREACHABLE, for 1 min 1 s: cloud: refused');
    expect(lines).toContain(
      'messages    1,000 received, 900 delivered, 7 dropped (qos0_pressure 7)',
    );
    expect(lines).toContain('cloud: connect ECONNREFUSED 127.0.0.1:1884');
  });

  test('a stream has its quota, how much of that is used, and what happens when it is full', () => {
    const lines = formatStatus(exampleStatus()).split('\n');
    const row = lines.findIndex((line) => line.startsWith('STREAM   WHEN'));
    expect(lines[row + 1]).toMatch(/^default +block +1 MiB +7\.9 % +0$/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test('columns stand below their names', () => {
    const lines = formatStatus(exampleStatus()).split('\n');
    const head = lines.find((line) => line.includes('HEAD')) ?? '';
    const row = lines[lines.indexOf(head) + 1] ?? '';
    expect(row.slice(0, head.indexOf('TAIL') + 4)).toMatch(/ 1,010$/);
    expect(row.slice(0, head.indexOf('DURABLE') + 7)).toMatch(/ 1,005$/);
  });
});

describe('wear', () => {
  const shown = (changes: Partial<Status['wear']> = {}): string[] => {
    const status = exampleStatus();
    const page = formatWear({ ...status, wear: { ...status.wear, ...changes } });
    expect(Math.max(...page.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
    return page.replaceAll(/\n {12}/g, ' ').split('\n');
  };

  test('what is there is told', () => {
    expect(shown()).toEqual([
      'gw-0042   cistern 0.1.0   up 1 h 2 min',
      '',
      'budget      4 GiB a day',
      'rate        2.79 GiB a day, by the last 24 hours or what there is of them',
      'in hand     170 MiB of 171 MiB; a commit waits for nothing',
      'written     215 KiB for 195 KiB of payload (1.1 times), 50 flushes',
      'checkpoint  16 KiB of it',
      "carried     4 KiB written again so that rotation keeps it, 2 % of all records' bytes",
      'ring        256 MiB, written 0.14 times since it was made',
      'will last   not known: the device does not tell its endurance; set endurance and lifetime in [storage.wear]',
      'device      not to be seen from here: the file system has no block device of its own',
      '',
    ]);
  });

  test.each([
    [123.4567, 'will last   more than 100 years at this rate'],
    [2.94, 'will last   2.9 years at this rate'],
    [0.04, 'will last   14 days at this rate'],
    [0, 'will last   less than a day at this rate'],
  ])('%s years', (yearsLeft, line) => {
    expect(shown({ yearsLeft })).toContain(line);
  });

  test('before the first message nothing is set against it', () => {
    expect(shown({ payloadBytes: 0, carriedBytes: 1, amplification: 0 })).toContain(
      'written     215 KiB for 0 B of payload, 50 flushes',
    );
    expect(shown({ carriedBytes: 10 })).toContain(
      "carried     10 B written again so that rotation keeps it, < 0.1 % of all records' bytes",
    );
  });

  test('a debt is one', () => {
    expect(shown({ tokenBytes: -(2 ** 20), commitWindowMs: 165 })).toContain(
      'in hand     nothing, and a debt of 1 MiB (at most 171 MiB); commits of a page are 165 ms apart',
    );
  });

  const device = {
    name: 'mmcblk0p2',
    disk: 'mmcblk0',
    writtenBytes: 2 ** 30,
    usedShares: [0.2, 1.1],
    preEndOfLife: 'warning',
  } as const;

  test('an eMMC tells its wear', () => {
    expect(shown({ device, deviceBytes: 2 ** 20, yearsLeft: 12.3 }).slice(-4)).toEqual([
      'will last   12.3 years at this rate',
      'device      mmcblk0p2 on mmcblk0: 1 MiB written by whomever since the gateway started, 1 GiB since the machine did',
      'its flash   of its life is used: at most 20 %, more than it was made for; reserved blocks: warning',
      '',
    ]);
  });

  test('what it does not tell is said in words, and is no 0', () => {
    const silent = { ...device, disk: 'mmcblk0p2', writtenBytes: null, usedShares: null };
    const lines = shown({ device: silent, deviceBytes: null, bytesPerDay: null });
    expect(lines).toContain('rate        not known in the first minute');
    expect(lines).toContain('will last   not known in the first minute');
    expect(lines.slice(-3)).toEqual([
      'device      mmcblk0p2: tells no writes',
      'its flash   tells no wear (an eMMC does)',
      '',
    ]);
  });
});
