import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Authority } from '../support/certificates.ts';
import { executablePath } from '../support/executable.ts';
import { CONFIGURATIONS } from '../unit/config/mosquitto/configurations.ts';

const run = promisify(execFile);

let folder = '';
let program = '';
let authority: Authority;

/** Makes the files that a configuration names, below the folder of this test, and names them there. */
async function withFiles(text: string): Promise<string> {
  const { cert, key } = authority.issue({ subject: '/CN=localhost' });
  for (const [, option = '', path = ''] of text.matchAll(/^(\w+) (\/(?:etc|mosquitto)\/\S+)$/gm)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    if (option.endsWith('certfile')) await copyFile(cert, file);
    else if (option.endsWith('keyfile')) await copyFile(key, file);
    else if (option.endsWith('cafile')) await copyFile(authority.ca, file);
    else if (option.endsWith('password_file')) {
      await writeFile(file, '', { mode: 0o600 });
      await run('mosquitto_passwd', ['-b', file, 'device', 'secret']);
    } else if (option.endsWith('acl_file')) await writeFile(file, 'user device\ntopic a/#\n');
  }
  return text.replaceAll(/^(\w+ )(?=\/(etc|mosquitto)\/)/gm, `$1${folder}`);
}

beforeAll(async () => {
  program = executablePath();
  folder = await mkdtemp(join(tmpdir(), 'cistern-import-'));
  authority = new Authority();
  for (const [name, text] of Object.entries(CONFIGURATIONS)) {
    await writeFile(join(folder, name), await withFiles(text));
  }
}, 120_000);

afterAll(async () => {
  authority.remove();
  await rm(folder, { recursive: true, force: true });
});

describe('cistern import, then cistern check', () => {
  test.each(Object.keys(CONFIGURATIONS))('%s', async (name) => {
    const imported = await run(program, ['import', join(folder, name)]);
    const path = join(folder, `${name}.toml`);
    await writeFile(path, imported.stdout);
    const checked = await run(program, ['check', '--config', path]);
    expect(checked.stdout).toContain('[storage]');
    expect(imported.stderr).toMatch(/ lines read, \d+ of them need nothing here; /);
    // The password of a bridge is in none of the outputs.
    expect(imported.stdout + imported.stderr + checked.stdout).not.toContain('battery staple');
  });

  test('a file that is not there is an error of the configuration', async () => {
    await expect(run(program, ['import', join(folder, 'none.conf')])).rejects.toMatchObject({
      code: 3,
      stdout: '',
      stderr: expect.stringMatching(/^CONFIG_NOT_FOUND: .*none[.]conf cannot be read/) as unknown,
    });
  });
});
