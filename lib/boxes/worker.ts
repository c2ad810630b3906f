import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { MessagePort } from 'node:worker_threads';
import * as v from 'valibot';

import { availableCores } from '../native/cores.js';
import type { Answer, Query } from '../objectives/query.js';
import { asAnswer } from '../objectives/query.js';
import { FileError } from '../support/errors.js';
import { expected, integer, parseOptions } from '../support/schema.js';
import type { Box } from './box.js';
import type { Responder } from './pool.js';
import { poolBox } from './pool.js';

export const workerBoxOptions = v.strictObject({
  /** Worker threads, unless `minimize` has the option `parallel`: an integer >= 1; default: as many as there are cores. */
  workers: v.optional(integer(1)),
});
/** The options of `workerBox`. */
export interface WorkerBoxOptions extends v.InferInput<typeof workerBoxOptions> {}

/**
 * A loss that blocks its thread, in a pool of worker threads. A worker that dies, or does not answer within the query's timeout, is
 * replaced; its query is a failure.
 *
 * @param file A module whose default export is the loss, as in `minimize`, asynchronous or not: JavaScript, or what else this Node
 *   can import. Its context's `signal` never aborts; the worker is ended instead.
 * @throws FileError if there is no such file; InvalidArgumentError if an option is out of range or unknown.
 * @example
 * const box = workerBox(new URL('./loss.js', import.meta.url), { workers: 4 });
 * const { x, loss } = await minimize(box, x0, options);
 */
export function workerBox(file: URL | string, options: WorkerBoxOptions = {}): Box {
  const { workers = availableCores() } = parseOptions(workerBoxOptions, options, 'workerBox');
  const module = urlOf(file);
  return poolBox(workers, () => new Thread(module));
}

function urlOf(file: URL | string): string {
  const url = typeof file === 'string' ? pathToFileURL(resolve(file)) : file;
  if (!((url as unknown) instanceof URL) || url.protocol !== 'file:')
    throw expected('file', "a path or a file's URL", url);
  if (!existsSync(url)) throw new FileError(fileURLToPath(url), 'file does not exist');
  return url.href;
}

/** What a worker runs. A text, since the loaders of other languages do not reach a worker's first module. */
const PROGRAM = `
const { workerData: { module, port } } = require('node:worker_threads');
const { signal } = new AbortController();
const textOf = (error) => (error instanceof Error ? error.name + ': ' + error.message : String(error));
const loading = import(module).then(({ default: loss }) => {
  if (typeof loss === 'function') return loss;
  throw new TypeError('Expected the default export of ' + module + ' to be a function');
});
loading.catch(() => undefined);
port.on('message', async ({ number, x, context }) => {
  try {
    const loss = await loading;
    port.postMessage({ number, answer: await loss(x, { ...context, signal }) });
  } catch (error) {
    port.postMessage({ number, answer: { failed: textOf(error) } });
  }
});
`;

/** A worker thread. */
class Thread implements Responder {
  readonly #worker: Worker;
  /** Not the worker's own port, which the module could write to. */
  readonly #port: MessagePort;
  readonly #ended: Promise<void>;
  /** Why the worker ends. */
  #reason: string | undefined;
  #settle: ((answer: Answer) => void) | undefined;
  #number = 0;
  #isOver = false;

  constructor(module: string) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(PROGRAM, {
      eval: true,
      workerData: { module, port: port2 },
      transferList: [port2],
    });
    this.#port.on('message', ({ number, answer }: { number: number; answer: unknown }) => {
      // One that is being ended answers when it has: it would be asked the next query before.
      if (number === this.#number && this.#reason === undefined) this.#settle?.(asAnswer(answer));
    });
    this.#worker.on('error', (error: unknown) => {
      this.#reason ??= error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    });
    this.#ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#isOver = true;
        this.#port.close();
        this.#settle?.({ failed: this.#reason ?? `the worker ended with exit code ${code}` });
        resolve();
      });
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async ask(query: Query, signal: AbortSignal): Promise<Answer> {
    const { id, step, sample } = query;
    const x = query.point();
    const abort = (): void => {
      this.#reason ??= (signal.reason as Error).message;
      void this.#worker.terminate();
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await new Promise((resolve) => {
        this.#settle = resolve;
        this.#port.postMessage({ number: ++this.#number, x, context: { id, step, sample } });
      });
    } finally {
      this.#settle = undefined;
      signal.removeEventListener('abort', abort);
    }
  }

  async end(): Promise<void> {
    void this.#worker.terminate();
    await this.#ended;
  }
}
