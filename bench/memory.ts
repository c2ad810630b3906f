/**
 * How much memory a sweep takes: counted, and measured by the system in a process that does nothing else.
 *
 * @module
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Network, Reuse } from 'deepzero';
import { Model } from 'deepzero';

import { syntheticBatch } from './support/networks.js';
import type { Session } from './support/sampling.js';
import { stratified } from './support/stratified.js';

export interface MemoryTask {
  readonly network: Network;
  readonly batchSize: number;
  readonly mode: Reuse;
  readonly threads: number;
  readonly memory: number | undefined;
  readonly mu: number;
  readonly seed: number;
}

/** The answer of the child process. */
export interface MemoryAnswer {
  /** Resident bytes of the process before there was a model, and their maximum. */
  idleBytes: number;
  peakBytes: number;
}

export interface MemoryRow extends MemoryAnswer {
  network: string;
  batchSize: number;
  mode: Reuse;
  /** As many as the bound on memory allows. */
  threads: number;
  /** Allocated by CGE on that many threads, counted. */
  countedBytes: number;
}

const CHILD = fileURLToPath(new URL(`memory-child${extname(import.meta.url)}`, import.meta.url));

export async function measureMemory(task: MemoryTask, { signal, onStatus }: Session): Promise<MemoryRow> {
  const { network, batchSize, mode, memory, seed } = task;
  onStatus?.(`${network.name}, ${mode}`);
  const batch = syntheticBatch(batchSize);
  using model = new Model(network, { seed, threads: task.threads, memory });
  const needed = (threads: number) =>
    model.memoryOf(batch, { coordinates: queried(model.parameterCount, threads, seed), reuse: mode });
  const { threads } = needed(task.threads);
  return {
    ...{ network: network.name, batchSize, mode, threads },
    ...(await inChild({ ...task, threads }, signal)),
    countedBytes: needed(threads).bytes,
  };
}

/** For every thread one of the first coordinates, whose change reaches every layer, and a few from every other part. */
export function queried(parameterCount: number, threads: number, seed: number): Uint32Array {
  const all = Uint32Array.from({ length: parameterCount }, (_, i) => i);
  const others = stratified(all.subarray(threads), 4 * threads, seed);
  return Uint32Array.of(...all.subarray(0, threads), ...others);
}

async function inChild(task: MemoryTask, signal: AbortSignal | undefined): Promise<MemoryAnswer> {
  const child = fork(CHILD, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], ...(signal && { signal }) });
  let answer: MemoryAnswer | undefined;
  child.on('message', (message) => {
    answer = message as MemoryAnswer;
  });
  child.send(task);
  const [code] = (await once(child, 'exit').catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  })) as [number | null];
  signal?.throwIfAborted();
  if (!answer) throw new Error(`The process whose memory is measured ended with status ${code ?? 'of a signal'}`);
  return answer;
}
