/**
 * The wake of a cylinder, experiments/wake, built when it is asked for.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Network } from 'deepzero';
import { conv2d, leakyRelu } from 'deepzero';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Paths of what was built: the simulator, and programs. */
export interface Wake {
  readonly simulator: string;
  /** Writes reference trajectories. */
  readonly data: string;
  /** The simulator as a process that answers JSON lines. */
  readonly lines: string;
  readonly test: string;
}

/** Builds what has changed since it was last built. */
export function buildWake(): Wake {
  const folder = join(root, 'build/wake');
  const cmake = (args: readonly string[]): void => {
    try {
      execFileSync('cmake', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
      throw new Error('the wake of a cylinder needs cmake >= 3.20, and there is no cmake', { cause });
    }
  };
  cmake(['-S', join(root, 'experiments/wake'), '-B', folder, '--log-level=WARNING']);
  cmake(['--build', folder, '--parallel', '2']);
  const [simulator, data, lines, test] = ['wake.so', 'data', 'lines', 'wake_test'].map((name) => join(folder, name));
  return { simulator: simulator!, data: data!, lines: lines!, test: test! };
}

/** Cells across of the coarse grid. */
export const ACROSS = 32;

/** Numbers of the velocities of a state: along the stream, and across. */
export const VELOCITIES: readonly [number, number] = [(2 * ACROSS + 1) * ACROSS, 2 * ACROSS * (ACROSS + 1)];

export const WIDTH: number = VELOCITIES[0] + VELOCITIES[1];

/** Numbers of a state of the solver: velocities, drag and lift. */
export const STATE: number = WIDTH + 2;

/** Numbers of an item: the Reynolds number, velocities, drag and lift, and the velocities that the network read. */
export const ITEM: number = 1 + STATE + WIDTH;

/** An item of a trajectory that starts at these velocities. */
export function itemOf(reynolds: number, velocities: ArrayLike<number>): Float32Array {
  const item = new Float32Array(ITEM);
  item[0] = reynolds;
  item.set(velocities, 1);
  return item;
}

/** Velocity 1 along the stream, and a poke sideways: where the solver starts. */
export function startVelocities(): Float32Array {
  const [along, across] = VELOCITIES;
  const velocities = new Float32Array(along + across).fill(1, 0, along);
  for (let i = ACROSS + 10; i < ACROSS + 20; i++) {
    for (let j = ACROSS / 2 - 2; j < ACROSS / 2 + 2; j++) velocities[along + i * (ACROSS + 1) + j] = 1;
  }
  return velocities;
}

/** A network that corrects the wake: 3×3 convolutions, the last without an activation. */
export function correction(channels: readonly number[] = [16, 16]): Network {
  const layers = channels.flatMap((count, i) => [
    conv2d({ name: `conv${i + 1}`, channels: count, kernel: 3, padding: 1 }),
    leakyRelu(),
  ]);
  const last = conv2d({ name: `conv${channels.length + 1}`, channels: 2, kernel: 3, padding: 1 });
  return { name: 'correction', input: [3, 2 * ACROSS, ACROSS], layers: [...layers, last] };
}
