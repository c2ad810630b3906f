/**
 * A child process that answers one query at a time, a JSON object a line: the messages of docs/protocol.md.
 *
 * @module
 */
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';

import type { Answer, Query } from '../objectives/query.js';
import { after } from '../support/duration.js';
import { escaped, inline, quote } from '../support/errors.js';
import type { Messages } from './messages.js';
import { parseMessage, readAnswer } from './messages.js';
import type { Responder } from './pool.js';

/** How processes are started. */
export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
}

const NEWLINE = 0x0a;
/** No answer is longer. */
const MOST_LINE_BYTES = 2 ** 20;
/** How much of its standard error is kept, and quoted. */
const [MOST_KEPT, MOST_QUOTED] = [4000, 500];
/** Seconds that a process has to end after its input did. */
const TO_END = 2;
/** Seconds in which its last output arrives after it ended; what it started may hold the pipes open. */
const TO_DRAIN = 1;

/** Processes that would outlive this one. */
const running = new Set<Client>();

function killAll(): void {
  for (const client of running) client.kill();
}

export class Client implements Responder {
  readonly #name: string;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #messages: Messages;
  /** Resolves when the process has ended and its output was read. */
  readonly #closed: Promise<void>;
  #hasExited = false;
  #hasClosed = false;
  /** The query in flight. */
  #open: { readonly id: string; readonly settle: (answer: Answer) => void } | undefined;
  /** What it did wrong. */
  #wrong: string | undefined;
  /** Whether a failure has said so. */
  #isTold = false;
  #isGreeted = false;
  /** The number of the last base point that it was sent. */
  #base: number | undefined;
  /** The line that has begun. */
  #begun: Buffer[] = [];
  #begunBytes = 0;
  /** The end of its standard error. */
  #said = '';

  constructor({ command, args, cwd, env }: Command, messages: Messages) {
    this.#name = inline(command);
    this.#messages = messages;
    // A group of its own, so that what it starts ends with it.
    this.#child = spawn(command, args, { cwd, env: { ...process.env, ...env }, detached: true, stdio: 'pipe' });
    this.#closed = new Promise((resolve) => {
      this.#listen(resolve);
    });
  }

  get isOver(): boolean {
    // A wrong message between two queries fails the next one, so that it is counted.
    return this.#hasClosed && (this.#wrong === undefined || this.#isTold);
  }

  #listen(resolve: () => void): void {
    const child = this.#child;
    let isDrained = (): void => undefined;
    const over = (what: string): void => {
      isDrained();
      running.delete(this);
      if (running.size === 0) process.off('exit', killAll);
      this.#hasClosed = true;
      this.#fail(this.#wrong ?? what);
      resolve();
    };
    child.on('error', ({ message }) => {
      if (child.pid !== undefined) return;
      const hint = /\s/.test(child.spawnfile) ? '; its arguments are given apart from it, as a list' : '';
      over(`could not be started: ${message}${hint}`);
    });
    if (child.pid === undefined) return;
    if (running.size === 0) process.on('exit', killAll);
    running.add(this);
    child.on('exit', () => {
      this.#killGroup();
      this.#hasExited = true;
      isDrained = after(TO_DRAIN, () => {
        child.stdout.destroy();
        child.stderr.destroy();
      });
    });
    let hasClosedInput = false;
    child.on('close', (code, signal) => {
      const closed = hasClosedInput && signal === 'SIGKILL';
      over(closed ? 'closed its input' : `ended ${signal === null ? `with exit code ${code!}` : `by ${signal}`}`);
    });
    child.stdin.on('error', () => {
      hasClosedInput = true;
      this.kill();
    });
    child.stdout.on('data', (chunk: Buffer) => {
      this.#read(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#said = (this.#said + chunk.toString()).slice(-MOST_KEPT);
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('error', () => {
        this.kill();
      });
    }
  }

  async ask(query: Query, signal: AbortSignal): Promise<Answer> {
    const text = this.#textOf(query);
    const abort = (): void => {
      this.#refuse((signal.reason as Error).message);
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await new Promise((settle) => {
        this.#open = { id: query.id, settle };
        if (this.#hasClosed) this.#fail(this.#wrong ?? 'ended');
        else if (this.#wrong === undefined) this.#child.stdin.write(text);
      });
    } finally {
      this.#open = undefined;
      signal.removeEventListener('abort', abort);
    }
  }

  /** The lines that ask a query. */
  #textOf(query: Query): string {
    const base = this.#messages.base(query);
    const messages = [
      ...(this.#isGreeted ? [] : [this.#messages.greeting(query)]),
      ...(base === undefined || base.base === this.#base ? [] : [base]),
      this.#messages.query(query),
    ];
    const text = messages.map((message) => `${JSON.stringify(message)}\n`).join('');
    this.#isGreeted = true;
    this.#base = base?.base ?? this.#base;
    return text;
  }

  #read(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#begin(chunk.subarray(start, end));
      start = end + 1;
      const line = Buffer.concat(this.#begun).toString();
      this.#begun = [];
      this.#begunBytes = 0;
      if (this.#wrong === undefined && line.trim() !== '') this.#take(line);
    }
    this.#begin(chunk.subarray(start));
  }

  #begin(part: Buffer): void {
    if (this.#wrong !== undefined) return;
    this.#begun.push(part);
    this.#begunBytes += part.length;
    if (this.#begunBytes > MOST_LINE_BYTES) this.#refuse(`sent a line of more than ${MOST_LINE_BYTES} bytes`);
  }

  /** Takes a line as the answer to the query in flight. */
  #take(line: string): void {
    let read: ReturnType<typeof readAnswer>;
    try {
      read = readAnswer(parseMessage(line));
    } catch (error) {
      this.#refuse(`sent ${quote(line)}: ${escaped((error as Error).message)}`);
      return;
    }
    const { id, answer } = read;
    if (id === this.#open?.id) {
      this.#open.settle(answer);
      // What follows answers nothing.
      this.#open = undefined;
    } else {
      const instead = this.#open ? `instead of ${quote(this.#open.id)}` : 'which it was not being asked';
      this.#refuse(`answered ${quote(id)}${this.#open ? ' ' : ', '}${instead}`);
    }
  }

  /** Ends a process whose messages are not to be relied on. */
  #refuse(wrong: string): void {
    this.#wrong ??= wrong;
    this.#begun = [];
    this.kill();
  }

  /** Answers the query in flight, if there is one, by a failure. */
  #fail(what: string): void {
    if (!this.#open) return;
    this.#isTold = true;
    const last = lastLines(this.#said);
    const more = last === '' ? '' : `; its standard error ends: ${last}`;
    this.#open.settle({ failed: `${this.#name}: ${what}${more}` });
  }

  /** Ends the process and what it started, at once. */
  kill(): void {
    if (!this.#hasExited) this.#killGroup();
  }

  #killGroup(): void {
    try {
      process.kill(-this.#child.pid!, 'SIGKILL');
    } catch {
      // There is none left.
    }
  }

  /** Ends its input, upon which it must end; it is killed if it does not. */
  async end(): Promise<void> {
    if (this.#hasClosed) return;
    this.#child.stdin.end();
    const cancel = after(TO_END, () => {
      this.kill();
    });
    await this.#closed;
    cancel();
  }
}

/** The last lines of an output on one line, without the frames of stacks. */
function lastLines(output: string): string {
  const lines = output.split('\n').map((line) => escaped(line.trim()));
  const telling = lines.filter((line) => line !== '' && !/^at .*:\d+\)?$/.test(line));
  return telling.slice(-5).join(' | ').slice(-MOST_QUOTED);
}
