/**
 * What all corrections of the wake share: the network, the simulator, and models of both.
 *
 * @module
 */
import type { Network } from 'deepzero';
import { Model, rollout, TensorDataset } from 'deepzero';

import { ACROSS, correction, VELOCITIES, WIDTH } from '../../bench/support/wake.js';
import type { References } from './references.js';
import type { Deviations, Measured } from './windows.js';
import { Windows } from './windows.js';

const CELLS = 2 * ACROSS * ACROSS;
/** Numbers that the network reads and adds. */
const [READ, ADDED] = [3 * CELLS, 2 * CELLS];
/** Steps that are made at once. */
const CHUNK = 64;

/** Of the drag's squared error in the loss: NON leaves an error of about 2, and 0.005 of the velocities. */
export const DRAG_WEIGHT = 0.003;

/** The part of the first output in the initial weights of a correction: it starts near none. */
const START = 0.1;

export class Setting {
  readonly network: Network = correction();
  readonly threads: number;
  readonly deviations: Deviations;
  readonly #simulator: string;

  constructor(simulator: string, deviations: Deviations, threads: number) {
    this.threads = threads;
    this.deviations = deviations;
    this.#simulator = simulator;
  }

  /** The network in the loop, to the mean squared error; of a flow also to that of the mean drag. */
  inLoop(values: Measured | 'observation', steps: number): Model {
    const { along, across, reynolds } = this.deviations;
    const config = `${ACROSS} ${values} ${along} ${across} ${reynolds} ${DRAG_WEIGHT}`;
    const loss = values === 'flow' ? 'simulator' : 'mean-squared-error';
    return new Model(this.network, {
      threads: this.threads,
      loss: rollout({ simulator: this.#simulator, config, steps, loss }),
    });
  }

  /** The network by itself, to the squared error of its outputs. */
  alone(seed = 0): Model {
    return new Model(this.network, { threads: this.threads, seed, loss: 'mean-squared-error' });
  }

  /** Weights that correct nothing. */
  none(): Float32Array {
    using model = this.alone();
    return new Float32Array(model.parameterCount);
  }

  /** Weights of a correction that is small. */
  initial(seed: number): Float32Array {
    using model = this.alone(seed);
    const weights = model.parameters.slice();
    // The last layer's weight and bias.
    const { offset } = model.tensors.at(-2)!;
    return weights.map((weight, i) => (i < offset ? weight : START * weight));
  }

  /** One step from every frame to the next, as the network sees it: what it reads, and what it should add. */
  async pairs(references: References): Promise<TensorDataset> {
    using model = this.inLoop('observation', 1);
    model.parameters.fill(0);
    const windows = new Windows(references, this.deviations, 'velocity', 1);
    const [read, wanted] = [new Float32Array(windows.count * READ), new Float32Array(windows.count * ADDED)];
    for (let start = 0; start < windows.count; start += CHUNK) {
      const count = Math.min(CHUNK, windows.count - start);
      const batch = windows.batch(Uint32Array.from({ length: count }, (_, i) => start + i));
      const seen = await model.predict(batch);
      read.set(seen, start * READ);
      wanted.set(missing(seen, batch.targets!), start * ADDED);
    }
    const name = 'steps of wakes';
    return new TensorDataset({ name, images: read, targets: wanted, shape: [3, 2 * ACROSS, ACROSS] });
  }
}

/** What the network should have added to what it read of steps: `wanted` has their velocities on faces. */
export function missing(read: Float32Array, wanted: Float32Array): Float32Array {
  const steps = read.length / READ;
  const result = new Float32Array(steps * ADDED);
  for (let step = 0; step < steps; step++) {
    const [along, across] = [step * WIDTH, step * WIDTH + VELOCITIES[0]];
    for (let cell = 0; cell < CELLS; cell++) {
      // A row of faces across has one more than a row of cells.
      const face = cell + Math.floor(cell / ACROSS);
      result[step * ADDED + cell] = wanted[along + cell]! - read[step * READ + cell]!;
      result[step * ADDED + CELLS + cell] = wanted[across + face]! - read[step * READ + CELLS + cell]!;
    }
  }
  return result;
}
