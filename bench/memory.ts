/**
 * How much memory a sweep takes: counted, and as the system sees it of a process that does nothing else.
 *
 * @module
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Reuse } from '../lib/model/options.js';
import type { NativeFit } from '../lib/native/addon.js';
import { threadsWithin } from '../lib/native/memory.js';
import { compile } from '../lib/network/compile.js';
import type { Network } from '../lib/network/description.js';
import { Random } from '../lib/native/random.js';
import { countMemory } from './cost.js';
import type { Session } from './sampling.js';
import { stratified } from './stratified.js';
import { benchBatch } from './sweeps.js';

export interface MemoryTask {
  readonly network: Network;
  readonly batchSize: number;
  readonly mode: Reuse;
  readonly threads: number;
  readonly memory: number | undefined;
  readonly mu: number;
  readonly seed: number;
}

/** What the child process tells. */
export interface MemoryAnswer {
  /** Of the process, before there was a model, and the largest of all. */
  idleBytes: number;
  peakBytes: number;
}

export interface MemoryRow extends MemoryAnswer {
  network: string;
  batchSize: number;
  mode: Reuse;
  /** As many as memory allows. */
  threads: number;
  /** What CGE on so many threads allocates, counted. */
  countedBytes: number;
}

const CHILD = fileURLToPath(new URL(`memory-child${extname(import.meta.url)}`, import.meta.url));

export async function measureMemory(task: MemoryTask, { signal, onStatus }: Session): Promise<MemoryRow> {
  const { network, batchSize, mode, memory, seed } = task;
  onStatus?.(`${network.name}, ${mode}`);
  const batch = benchBatch(batchSize);
  const compiled = compile(network);
  const counted = (threads: number): NativeFit => {
    const coordinates = queried(compiled.parameterCount, threads, seed);
    return countMemory({ network, compiled }, batch, { coordinates, reuse: mode, threads }, memory);
  };
  const threads = threadsWithin(memory ?? Infinity, counted(task.threads), batchSize);
  return {
    ...{ network: network.name, batchSize, mode, threads },
    ...(await inChild({ ...task, threads }, signal)),
    countedBytes: counted(threads).bytes,
  };
}

/** The first coordinates, whose change passes everywhere, one for every thread, and a few of every other part. */
export function queried(parameterCount: number, threads: number, seed: number): Uint32Array {
  const all = Uint32Array.from({ length: parameterCount }, (_, i) => i);
  const others = stratified(all.subarray(threads), 4 * threads, new Random(seed, 'samples'));
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
