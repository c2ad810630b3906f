/**
 * The gradient through unrolled steps without the solver's derivative: NOG of List et al. (2025, arXiv 2402.12971).
 *
 * @module
 */
import type { Batch, Estimator, Model, Objective, Surrogate } from 'deepzero';

import { WIDTH } from '../../bench/support/wake.js';
import type { Setting } from './setting.js';
import { missing } from './setting.js';

/** Every step's error by back-propagation through its correction alone, as if no step depended on those before. */
export class Unrolled implements Surrogate, Disposable {
  readonly name = 'nog';
  readonly #reads: Model;
  readonly #network: Model;

  constructor(setting: Setting, steps: number) {
    this.#reads = setting.inLoop('observation', steps);
    this.#network = setting.alone();
  }

  async gradient({ parameters }: Objective, sample: unknown): Promise<Float64Array> {
    const { images, count, targets } = sample as Batch;
    for (const model of [this.#reads, this.#network]) model.parameters.set(parameters);
    const read = await this.#reads.predict({ images, count });
    const wanted = missing(read, targets!);
    const steps = targets!.length / WIDTH;
    const { values } = await this.#network.gradient({ images: read, count: steps, targets: wanted });
    // The loss is a mean over all faces, the network's one over those that it corrects.
    return values.map((value) => (value * wanted.length) / targets!.length);
  }

  /** An estimator that yields this gradient, at the cost of a query. */
  get estimator(): Estimator {
    const estimator: Estimator = {
      config: { kind: this.name },
      queriesPerStep: () => 1,
      sample: () => estimator,
      estimate: async (objective, sample, { signal, onProgress, step }) => {
        const measured = await objective.lossAt(sample, objective.parameters, { signal, onProgress, step });
        const gradient = Float32Array.from(await this.gradient(objective, sample));
        return { ...measured, gradient, queries: 1 };
      },
    };
    return estimator;
  }

  [Symbol.dispose](): void {
    for (const model of [this.#reads, this.#network]) model[Symbol.dispose]();
  }
}
