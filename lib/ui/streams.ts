/**
 * Server-sent events: every page that is open receives what has changed, as fast as it takes it.
 *
 * @module
 */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Feed } from './feed.js';
import type { Cursor } from './messages.js';
import { changesOf } from './messages.js';
import type { Message, SignOfLife } from './protocol.js';

/** How often changes are sent, in milliseconds; and how often anything is, so that both ends see that the other is there. */
const UPDATE_MS = 1000;
const BEAT_MS = 5000;
/** How long a page may take to accept a message, in milliseconds. */
const PATIENCE_MS = 30_000;
/** Pages that are open at the same time. */
export const MOST_STREAMS = 16;

interface Stream {
  readonly response: ServerResponse;
  /** What it has of each run, by id. */
  readonly known: Map<number, Cursor>;
  list: string;
  /** Set while it is being written to. */
  sending: Promise<void> | undefined;
  lastSent: number;
}

/** The open pages. Runs are read while there is one. */
export class Streams {
  readonly #feed: Feed;
  readonly #streams = new Set<Stream>();
  #timer: NodeJS.Timeout | undefined;
  #isUpdating = false;
  /** Whether only what is left is sent. */
  #isEnding = false;
  /** Resolves when the feed is not being read: it can only be read by one at a time. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(feed: Feed) {
    this.#feed = feed;
  }

  get isFull(): boolean {
    return this.#streams.size >= MOST_STREAMS;
  }

  /** Sends all there is, then changes until the page is closed. */
  add(response: ServerResponse): void {
    const stream: Stream = { response, known: new Map(), list: '', sending: undefined, lastSent: performance.now() };
    this.#streams.add(stream);
    response.on('close', () => this.#streams.delete(stream));
    response.on('error', () => undefined);
    response.write(': deepzero\n\n');
    void this.#update();
  }

  /** Sends what has changed for the last time. */
  async finish(): Promise<void> {
    this.#isEnding = true;
    clearTimeout(this.#timer);
    while (this.#streams.size > 0 && (await this.#read()));
    const sendLast = async (stream: Stream): Promise<void> => {
      while (stream.sending) await stream.sending;
      await this.#send(stream);
    };
    await Promise.all([...this.#streams].map(sendLast));
  }

  /** Tells the pages that there will be nothing more, and ends. */
  close(): void {
    this.#isEnding = true;
    clearTimeout(this.#timer);
    for (const { response, sending } of this.#streams) {
      // What a slow page has not taken yet is not waited for.
      if (sending) response.destroy();
      else response.end(eventOf({ type: 'end' }));
    }
  }

  async #update(): Promise<void> {
    if (this.#isUpdating) return;
    this.#isUpdating = true;
    clearTimeout(this.#timer);
    try {
      // A long log is sent in parts, each as soon as it is read.
      for (let more = true; more && this.#isNeeded;) {
        more = await this.#read();
        for (const stream of this.#streams) void this.#send(stream);
        await nextTurn();
      }
    } finally {
      this.#isUpdating = false;
    }
    if (this.#isNeeded) this.#timer = setTimeout(() => void this.#update(), UPDATE_MS);
  }

  get #isNeeded(): boolean {
    return this.#streams.size > 0 && !this.#isEnding;
  }

  /** Reads a part of what is new; whether there is more. */
  async #read(): Promise<boolean> {
    const reading = this.#reading.then(async () => this.#feed.update());
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  /** Sends what a page lacks, unless it is still being written to. */
  async #send(stream: Stream): Promise<void> {
    if (stream.sending) return;
    stream.sending = this.#write(stream).finally(() => (stream.sending = undefined));
    await stream.sending;
  }

  /** A run at a time: no more than one run's message waits for a slow page. */
  async #write(stream: Stream): Promise<void> {
    try {
      const { list, runs } = this.#feed;
      const text = eventOf(list);
      if (text !== stream.list) await write(stream, text);
      stream.list = text;
      for (const { id, reader } of runs) {
        const changes = changesOf(reader, id, stream.known.get(id));
        if (!changes) continue;
        stream.known.set(id, changes.cursor);
        await write(stream, eventOf(changes.message));
      }
      for (const id of stream.known.keys()) if (!runs.some((run) => run.id === id)) stream.known.delete(id);
      if (performance.now() - stream.lastSent > BEAT_MS) await write(stream, eventOf({ type: 'beat' }));
    } catch {
      // The page takes nothing any more; it asks again if it is still there.
      stream.response.destroy();
    }
  }
}

/** JSON has no line breaks of its own. */
function eventOf(message: Message | SignOfLife): string {
  return `data: ${JSON.stringify(message)}\n\n`;
}

/** @throws if the page does not take it in time, or is gone. */
async function write(stream: Stream, text: string): Promise<void> {
  const { response } = stream;
  stream.lastSent = performance.now();
  if (response.destroyed) throw new Error('closed');
  if (response.write(text)) return;
  const patience = new AbortController();
  const timer = setTimeout(() => {
    patience.abort();
  }, PATIENCE_MS);
  const giveUp = (): void => {
    patience.abort();
  };
  response.once('close', giveUp);
  try {
    await once(response, 'drain', { signal: patience.signal });
  } finally {
    clearTimeout(timer);
    response.off('close', giveUp);
  }
}
