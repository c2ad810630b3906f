/**
 * PyTorch's side of a comparison: a process that answers one JSON line for each it gets, with an allocator that keeps freed
 * memory. PYTHON names the interpreter, by default Debian's.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** Of images and weights in PyTorch's memory; the first is usually its faster one. */
export const LAYOUTS = ['channels-last', 'contiguous'] as const;

/**
 * Ways to keep memory that large tensors free. glibc returns it to the system after each operation by default, and PyTorch then
 * spends most of its time on page faults. PyTorch's tuning guide advises the other two allocators.
 */
const ALLOCATORS: readonly { name: string; library?: string; env: Record<string, string> }[] = [
  {
    name: 'glibc, memory kept',
    env: { MALLOC_MMAP_MAX_: '0', MALLOC_TRIM_THRESHOLD_: '100000000000', MALLOC_TOP_PAD_: '1000000000' },
  },
  ...['libtcmalloc_minimal.so.4', 'libjemalloc.so.2'].map((file) => {
    const library = join('/usr/lib', `${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`, file);
    return { name: file, library, env: { LD_PRELOAD: library } };
  }),
];
export type Allocator = (typeof ALLOCATORS)[number];

/**
 * The allocator under which a program is fastest. Those that are not installed are named and left out.
 *
 * @param time Prepares the program and returns the seconds of a computation, once it has run before.
 */
export async function fastestAllocator(program: string, time: (peer: Peer) => Promise<number>): Promise<Allocator> {
  const timed: { allocator: Allocator; seconds: number }[] = [];
  for (const allocator of ALLOCATORS) {
    if (allocator.library !== undefined && !existsSync(allocator.library)) {
      console.log(`PyTorch under ${allocator.name}: not installed`);
      continue;
    }
    const peer = new Peer(program, allocator);
    try {
      const seconds = [await time(peer), await time(peer), await time(peer)];
      timed.push({ allocator, seconds: Math.min(...seconds) });
      console.log(`PyTorch under ${allocator.name}: ${(1000 * Math.min(...seconds)).toFixed(1)} ms`);
    } finally {
      peer.end();
    }
  }
  return timed.reduce((best, other) => (other.seconds < best.seconds ? other : best)).allocator;
}

export class Peer {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string, undefined>;

  constructor(program: string, { env }: Allocator) {
    const python = process.env['PYTHON'] ?? '/usr/bin/python3';
    this.#process = spawn(python, [join(import.meta.dirname, program)], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#answers = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async ask(request: object): Promise<Record<string, unknown>> {
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const answer: IteratorResult<string, undefined> = await this.#answers.next();
    if (answer.done) throw new Error('The PyTorch process ended; its message is above');
    return JSON.parse(answer.value) as Record<string, unknown>;
  }

  end(): void {
    this.#process.stdin.end();
  }
}

/** The array as raw bytes, for a file that numpy reads. */
export function bytes(array: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
