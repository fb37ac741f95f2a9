import { afterEach, describe, expect, test } from 'vitest';
import { startAdmin, type AdminSource } from '../../../src/admin/server.ts';
import type { Status } from '../../../src/admin/status.ts';
import { createNodeHttp } from '../../../src/platform/node/http.ts';
import { exampleStatus } from './example-status.ts';

const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function start(
  options: {
    status?: Status;
    ready?: () => true | string;
    token?: (() => Promise<string>) | undefined;
  } = {},
): Promise<string> {
  const source: AdminSource = {
    status: () => options.status ?? exampleStatus(),
    ready: options.ready ?? (() => true),
  };
  const http = createNodeHttp();
  const admin = await startAdmin({
    listen: '127.0.0.1:0',
    token: options.token,
    source,
    http,
  });
  closers.push(() => admin.close());
  return `http://${admin.address}`;
}

describe('routes', () => {
  test('the status is the document as it is', async () => {
    const base = await start();
    const response = await fetch(`${base}/api/v1/status`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await response.json()).toEqual(exampleStatus());
  });

  test('a query does not hide a route', async () => {
    const base = await start();
    expect((await fetch(`${base}/healthz?probe=1`)).status).toBe(200);
  });

  test('readyz says why it is not ready, while healthz stays well', async () => {
    let answer: true | string = 'the ring is being filled with zeros';
    const base = await start({ ready: () => answer });
    const early = await fetch(`${base}/readyz`);
    expect([early.status, await early.text()]).toEqual([
      503,
      'the ring is being filled with zeros\n',
    ]);
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    answer = true;
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
  });

  test('readyz is 200 while an upstream is down', async () => {
    const status = exampleStatus();
    const down = { ...status.uplinks[0]!, state: 'backoff' as const, lastError: 'refused' };
    const base = await start({ status: { ...status, uplinks: [down] } });
    expect((await fetch(`${base}/readyz`)).status).toBe(200);
  });

  test.each(['/', '/api/v1', '/api/v1/status/', '/metrics/x', '/../etc/passwd'])(
    '%s is not found',
    async (path) => {
      const base = await start();
      expect((await fetch(base + path)).status).toBe(404);
    },
  );

  test.each(['POST', 'PUT', 'DELETE', 'PATCH'])('%s changes nothing', async (method) => {
    const base = await start();
    const body = method === 'DELETE' ? null : '{}';
    const response = await fetch(`${base}/api/v1/status`, { method, body });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  test('HEAD gives the length and no body', async () => {
    const base = await start();
    const response = await fetch(`${base}/api/v1/status`, { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(Number(response.headers.get('content-length'))).toBeGreaterThan(100);
    expect(await response.text()).toBe('');
  });

  test('the bound port is told, and a taken one is refused with what to do', async () => {
    const base = await start();
    expect(base).toMatch(/^http:\/\/127\.0\.0\.1:[1-9]\d*$/);
    const again = startAdmin({
      listen: base.slice('http://'.length),
      source: { status: exampleStatus, ready: () => true },
      http: createNodeHttp(),
    });
    await expect(again).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      remedy: expect.stringContaining('admin.listen'),
    });
  });
});

describe('token', () => {
  const get = (url: string, authorization?: string): Promise<Response> =>
    fetch(url, authorization === undefined ? {} : { headers: { authorization } });

  test('is needed for what tells something, not for probes', async () => {
    const base = await start({ token: () => Promise.resolve('correct-horse') });
    for (const path of ['/api/v1/status', '/metrics']) {
      const refused = await get(base + path);
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="cistern"');
      expect((await get(base + path, 'Bearer correct-horse')).status).toBe(200);
    }
    for (const path of ['/healthz', '/readyz']) expect((await get(base + path)).status).toBe(200);
  });

  test.each([
    'Bearer wrong',
    'Bearer correct-horse-battery',
    'Bearer correct',
    'Bearer correct-horsecorrect-horse',
    'Basic correct-horse',
    'Bearer ',
    'correct-horse',
  ])('%j is refused', async (authorization) => {
    const base = await start({ token: () => Promise.resolve('correct-horse') });
    expect((await get(`${base}/metrics`, authorization)).status).toBe(401);
  });

  test('is read anew at each request', async () => {
    let token = 'first';
    const base = await start({ token: () => Promise.resolve(token) });
    expect((await get(`${base}/metrics`, 'Bearer first')).status).toBe(200);
    token = 'second';
    expect((await get(`${base}/metrics`, 'Bearer first')).status).toBe(401);
    expect((await get(`${base}/metrics`, 'Bearer second')).status).toBe(200);
  });

  test('that cannot be read stops the start, and later refuses without a word of it', async () => {
    await expect(start({ token: () => Promise.reject(new Error('gone')) })).rejects.toThrow('gone');
    let isGone = false;
    const base = await start({
      token: () => (isGone ? Promise.reject(new Error('/secret/path')) : Promise.resolve('x')),
    });
    isGone = true;
    const response = await get(`${base}/metrics`, 'Bearer x');
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('/secret/path');
  });
});
