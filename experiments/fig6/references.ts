/**
 * Reference trajectories of the wake: made by the fine solver, averaged over the faces of the coarse grid, and kept.
 *
 * @module
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, rename, rm } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { FileError } from 'deepzero';
import * as v from 'valibot';

import { STATE } from '../../bench/support/wake.js';
import { cached, exists } from '../support/cache.js';
import type { Surroundings } from '../support/report.js';

/** Nominal Reynolds numbers of Um et al., karman-2d. */
export const REYNOLDS = {
  training: [97.7, 195.3, 390.6, 781.3, 1562.5, 3125],
  test: [146.5, 293, 586, 1172, 2344],
} as const;
export type Part = keyof typeof REYNOLDS;

export interface Lengths {
  /** Steps of the fine solver before the first frame. */
  readonly skipped: number;
  /** Frames of each trajectory. */
  readonly frames: number;
}

/** Stands for the content. */
export const digestOf = (values: Uint8Array | Float32Array): string =>
  createHash('sha256').update(values).digest('hex').slice(0, 16);

/** Trajectories of one part. */
export class References {
  readonly reynolds: readonly number[];
  readonly frames: number;
  /** Of all values. */
  readonly digest: string;
  readonly #values: Float32Array;

  constructor(reynolds: readonly number[], frames: number, values: Float32Array) {
    this.reynolds = reynolds;
    this.frames = frames;
    this.digest = digestOf(values);
    this.#values = values;
  }

  /** Velocities along the stream and across, and the frame's drag and lift. */
  frame(trajectory: number, frame: number): Float32Array {
    const start = (trajectory * this.frames + frame) * STATE;
    return this.#values.subarray(start, start + STATE);
  }
}

/**
 * The trajectories of both parts, made side by side, or read if an earlier call made them in the folder with the same program.
 *
 * @throws FileError if a file is not what was made.
 */
export async function allReferences(
  lengths: Lengths,
  program: string,
  { signal, ...surroundings }: Pick<Surroundings, 'out' | 'signal' | 'onStatus'>,
): Promise<Record<Part, References>> {
  // If one fails, the other one's program must not go on.
  const failure = new AbortController();
  const within = { ...surroundings, signal: AbortSignal.any([signal, failure.signal]) };
  try {
    const parts = [references('training', lengths, program, within), references('test', lengths, program, within)];
    const [training, test] = await Promise.all(parts);
    return { training: training!, test: test! };
  } catch (error) {
    failure.abort();
    throw error;
  }
}

const madeSchema = v.strictObject({ digest: v.string() });

async function references(
  part: Part,
  { skipped, frames }: Lengths,
  program: string,
  { out, signal, onStatus }: Pick<Surroundings, 'out' | 'signal' | 'onStatus'>,
): Promise<References> {
  const reynolds = REYNOLDS[part];
  const path = join(out, `references-${part}.f32`);
  const about = { path: join(out, `references-${part}.json`), schema: madeSchema };
  if (!(await exists(path))) await rm(about.path, { force: true });
  const read = async (): Promise<References> => {
    const bytes = await readFile(path);
    const size = 4 * reynolds.length * frames * STATE;
    if (bytes.length !== size) throw new FileError(path, `has ${bytes.length} bytes, expected ${size}: delete it`);
    return new References(reynolds, frames, new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
  };
  const options = { reynolds, skipped, frames, program: digestOf(await readFile(program)) };
  const make = async (): Promise<{ digest: string }> => {
    // The folder is locked: nobody else writes there.
    const temporary = `${path}.tmp`;
    const child = spawn(program, [temporary, skipped, frames, ...reynolds].map(String), {
      stdio: ['ignore', 'pipe', 'inherit'],
      signal,
    });
    const ended = once(child, 'close') as Promise<[number | null]>;
    ended.catch(() => undefined);
    for await (const line of createInterface(child.stdout)) onStatus(`references for ${part}: step ${line}`);
    const [code] = await ended;
    // Ctrl-C may end the program before the signal does.
    signal.throwIfAborted();
    if (code !== 0) throw new FileError(temporary, `${program} ended with code ${code}`);
    await rename(temporary, path);
    return { digest: (await read()).digest };
  };
  const { digest } = await cached(about, options, make, 'recompute');
  const found = await read();
  if (found.digest !== digest) throw new FileError(path, `is not what ${about.path} says: delete it`);
  return found;
}
