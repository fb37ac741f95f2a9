import { type AddressInfo, createServer, type Socket } from 'node:net';

/**
 * Listens on a port of the kernel's own choice and hands over each connection. What has to be closed at
 * the end of the test is added to `closers`.
 */
export async function listenRaw(
  serve: (socket: Socket) => void,
  closers: (() => unknown)[],
): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    closers.push(() => void socket.destroy());
    serve(socket);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  closers.push(() => void server.close());
  return (server.address() as AddressInfo).port;
}
