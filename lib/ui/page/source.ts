/**
 * Messages from the server, for as long as it is there.
 *
 * @module
 */
import type { Message, SignOfLife } from '../protocol.js';

type State = 'live' | 'lost' | 'ended';

/** The server says something at least every five seconds. */
const SILENCE_MS = 15_000;
const RETRY_MS = 2000;

/** Receives messages, and says how the connection is. A lost one is tried again until the server says that it has ended. */
export function listen(receive: (message: Message) => void, tell: (state: State, text: string) => void): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const connect = (): void => {
    const source = new EventSource('events');
    const retry = (): void => {
      clearTimeout(timer);
      source.close();
      tell('lost', 'Connection lost, trying again …');
      timer = setTimeout(connect, RETRY_MS);
    };
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(retry, SILENCE_MS);
    };
    source.addEventListener('open', wait);
    source.addEventListener('error', retry);
    source.addEventListener('message', ({ data }: MessageEvent<string>) => {
      wait();
      tell('live', 'Live');
      const message = JSON.parse(data) as Message | SignOfLife;
      if (message.type === 'end') {
        clearTimeout(timer);
        source.close();
        tell('ended', 'The server has ended; this is the last state.');
      } else if (message.type === 'runs' || message.type === 'run') receive(message);
    });
  };
  tell('lost', 'Connecting …');
  connect();
}
