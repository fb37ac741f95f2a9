import { createServer } from 'node:net';

/**
 * A loopback port that was free a moment ago, for programs that cannot be told to pick one and say
 * which. Another process may take it in between; such a start fails loudly and is tried again.
 */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port was bound');
  return address.port;
}
