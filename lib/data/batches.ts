/**
 * The batches of a training run.
 *
 * @module
 */
import { Random } from '../native/random.js';
import type { Batch, Dataset } from './dataset.js';

/** Where a run is. */
interface Position {
  readonly seed: number;
  readonly step: number;
  readonly epoch: number;
}

interface BatchPlan {
  readonly batchSize: number;
  /** ⌊count / batchSize⌋ */
  readonly stepsPerEpoch: number;
  readonly augment: boolean;
}

/** Every epoch has the images in a random order of its own, in batches without those left over. */
export class Batches {
  readonly #dataset: Dataset;
  readonly #plan: BatchPlan;
  #order: { readonly epoch: number; readonly images: Uint32Array } | undefined;

  constructor(dataset: Dataset, plan: BatchPlan) {
    this.#dataset = dataset;
    this.#plan = plan;
  }

  /** The batch of a step, a function of its position. */
  at({ seed, step, epoch }: Position): Batch {
    if (this.#order?.epoch !== epoch) {
      const images = Uint32Array.from({ length: this.#dataset.count }, (_, i) => i);
      this.#order = { epoch, images: new Random(seed, 'shuffle', epoch).shuffle(images) };
    }
    const { batchSize, stepsPerEpoch, augment } = this.#plan;
    const start = (step % stepsPerEpoch) * batchSize;
    const indices = this.#order.images.subarray(start, start + batchSize);
    return augment ? this.#dataset.batch(indices, { seed, epoch }) : this.#dataset.batch(indices);
  }
}
