/**
 * Requests as a hostile client sends them: any bytes on a socket.
 *
 * @module
 */
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

/** A connection that is open, and what has come over it. */
export interface Client {
  readonly socket: Socket;
  readonly received: () => string;
  /** Resolves when the other side has closed. */
  readonly closed: Promise<void>;
}

export async function open(port: number): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1' });
  let text = '';
  socket.on('data', (bytes: Buffer) => (text += bytes.toString('latin1')));
  socket.on('error', () => undefined);
  const closed = new Promise<void>((resolve) =>
    socket.once('close', () => {
      resolve();
    }),
  );
  await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), closed]);
  return { socket, received: () => text, closed };
}

/** Sends bytes and returns all that comes back until the other side closes. */
export async function exchange(port: number, bytes: string | Buffer): Promise<string> {
  const { socket, received, closed } = await open(port);
  socket.end(bytes);
  await closed;
  return received();
}

/** A tunnel to a port of this machine, as ssh -L makes one, that can be cut. */
export async function tunnelTo(port: number): Promise<{ port: number; cut: () => void; restore: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect({ port, host: '127.0.0.1' });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket
        .on('error', () => undefined)
        .on('close', () => {
          sockets.delete(socket);
          other.destroy();
        });
    }
  });
  const listen = async (on: number) => new Promise<void>((resolve) => server.listen(on, '127.0.0.1', resolve));
  await listen(0);
  const own = (server.address() as AddressInfo).port;
  const cut = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: own, cut, restore: async () => listen(own) };
}
