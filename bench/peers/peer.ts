/**
 * PyTorch's side of a comparison: a process that answers one JSON line for each it gets. PYTHON names the interpreter, by
 * default Debian's.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

/** Of images and weights in PyTorch's memory; the first is usually its faster one. */
export const LAYOUTS = ['channels-last', 'contiguous'] as const;

export class Peer {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #answers: AsyncIterator<string, undefined>;

  constructor(program: string) {
    const python = process.env['PYTHON'] ?? '/usr/bin/python3';
    this.#process = spawn(python, [join(import.meta.dirname, program)], { stdio: ['pipe', 'pipe', 'inherit'] });
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
