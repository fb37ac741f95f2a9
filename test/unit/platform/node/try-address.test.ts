import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNodeNetwork } from '../../../../src/platform/node/network.ts';

const network = createNodeNetwork();
let holder: Server;
let port: number;

beforeEach(async () => {
  holder = createServer();
  await new Promise<void>((resolve) => void holder.listen(0, '127.0.0.1', resolve));
  port = (holder.address() as AddressInfo).port;
});

afterEach(() => void holder.close());

test.each(['127.0.0.1', '0.0.0.0', '[::]', ''])(
  'a port that is taken, as %s: who has it',
  async (host) => {
    await expect(network.tryAddress(`${host}:${port}`)).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: expect.stringContaining(`node (pid ${process.pid})`),
    });
  },
);

test('an address of another machine', async () => {
  await expect(network.tryAddress('192.0.2.1:1883')).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
    remedy: expect.stringContaining('an address of this machine'),
  });
});

test('a name that nobody knows', async () => {
  await expect(network.tryAddress('nowhere.invalid:1883')).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
  });
});

test('the same port of another address, any free port, and one that was just tried', async () => {
  await network.tryAddress(`127.0.0.2:${port}`);
  await network.tryAddress('127.0.0.1:0');
  const listener = await network.listen(`127.0.0.2:${port}`, (socket) => socket.destroy());
  await listener.close();
  await network.tryAddress(listener.address);
});
