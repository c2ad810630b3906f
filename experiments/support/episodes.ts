/**
 * Episodes in worker threads.
 *
 * @module
 */
import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';

import type { WalkerName } from '../../examples/walkers.js';
import type { EpisodeReply, EpisodeRequest } from './episode-worker.js';

/** Worker threads that play episodes of one robot. */
export class Episodes {
  readonly threads: number;
  readonly #idle: Worker[];
  readonly #all: readonly Worker[];
  readonly #waiting: ((worker: Worker) => void)[] = [];
  #problem: { readonly error: unknown } | undefined;

  constructor(name: WalkerName, threads: number) {
    this.threads = threads;
    // The loader of TypeScript does not reach a worker's first module, so that one registers it.
    const module = new URL(`episode-worker${extname(import.meta.url)}`, import.meta.url);
    const text = `import('tsx/esm/api').then(({ register }) => (register(), import(${JSON.stringify(module)})))`;
    this.#all = Array.from({ length: threads }, () => new Worker(text, { eval: true, workerData: name }));
    for (const worker of this.#all) worker.on('error', (error) => (this.#problem ??= { error }));
    this.#idle = [...this.#all];
  }

  /** @throws What a worker threw, from then on. */
  async play(request: EpisodeRequest): Promise<EpisodeReply> {
    const worker = this.#idle.pop() ?? (await new Promise<Worker>((resolve) => this.#waiting.push(resolve)));
    try {
      if (this.#problem) throw this.#problem.error;
      worker.postMessage(request);
      const [reply] = (await once(worker, 'message')) as [EpisodeReply];
      return reply;
    } finally {
      const next = this.#waiting.shift();
      if (next) next(worker);
      else this.#idle.push(worker);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.terminate()));
  }
}
