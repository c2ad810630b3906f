/**
 * Which of a run's weights are its result: those with the smallest error over whole training trajectories. A rollout of some steps, by which
 * a run is trained, does not show how an error grows over hundreds.
 *
 * @module
 */
import { NonFiniteLossError, readJson, writeFileAtomically } from 'deepzero';
import * as v from 'valibot';

import { exists } from '../support/cache.js';

const finite = v.pipe(v.number(), v.finite());
const bestSchema = v.strictObject({ step: finite, loss: finite, weights: v.array(finite) });
type Best = v.InferOutput<typeof bestSchema>;

/** The best weights so far, kept in a file: the run may be stopped and go on. */
export class BestWeights {
  readonly #file: string;
  readonly #lossOf: (weights: Float32Array) => Promise<number>;
  #best: Best | undefined;

  private constructor(file: string, lossOf: (weights: Float32Array) => Promise<number>) {
    this.#file = file;
    this.#lossOf = lossOf;
  }

  static async open(file: string, lossOf: (weights: Float32Array) => Promise<number>): Promise<BestWeights> {
    const found = new BestWeights(file, lossOf);
    if (await exists(file)) found.#best = v.parse(bestSchema, await readJson(file));
    return found;
  }

  /** Takes the weights after a step if they are better than all before. */
  async consider(step: number, weights: Float32Array): Promise<void> {
    const loss = await this.#lossOf(weights).catch((error: unknown) => {
      // A wake that blows up.
      if (error instanceof NonFiniteLossError) return Number.MAX_VALUE;
      throw error;
    });
    if (this.#best && this.#best.loss <= loss) return;
    this.#best = { step, loss, weights: [...weights] };
    await writeFileAtomically(this.#file, JSON.stringify(this.#best));
  }

  /** The step after which they were, and the weights. */
  get best(): Pick<Best, 'step' | 'weights'> {
    return this.#best!;
  }
}
