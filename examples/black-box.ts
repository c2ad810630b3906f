/**
 * A custom estimator for a loss that cannot be differentiated: that of a simulated chip, which rounds every weight to a multiple
 * of its resolution, so that the derivative of the loss is 0 wherever it exists.
 *
 *     npx tsx examples/black-box.ts [STEPS]
 *
 * To train a real device, make `measure` query the device. The network then only provides the number of parameters and their
 * initial values. cifar10-resnet20.ts shows how to save and resume a run.
 */
import { cnn, Model, sgd, synthetic, train } from 'deepzero';
import type { Batch, Estimator } from 'deepzero';

const steps = Number(process.argv[2] ?? 100);

/** The chip holds multiples of this. */
const RESOLUTION = 1 / 64;

interface Reading {
  /** Mean over the batch. */
  loss: number;
  /** A row of scores for every image, only for the accuracy; zeros if the device has none. */
  outputs: Float32Array;
  accuracy?: number;
}

/** The chip's loss and outputs for a batch, with these weights rounded to its resolution. */
async function measure(model: Model, batch: Batch, weights: Float32Array, signal?: AbortSignal): Promise<Reading> {
  const rounded = weights.map((weight) => RESOLUTION * Math.round(weight / RESOLUTION));
  return await model.forward(batch, { at: rounded, training: true, signal });
}

/**
 * Central differences along `coordinates` coordinates per step, the next ones at the next step. μ is larger than the chip's
 * resolution, because smaller changes of a weight do not change the loss.
 */
function onChip(mu: number, coordinates: number): Estimator {
  return {
    // Everything that the estimate depends on: a run resumes only with an equal config.
    config: { kind: 'chip', resolution: RESOLUTION, mu, coordinates },
    queriesPerStep: () => 1 + 2 * coordinates,
    sample: (queries) => onChip(mu, Math.min(coordinates, Math.max(1, Math.floor((queries - 1) / 2)))),
    async estimate(model, batch, { step, signal }) {
      const { loss, outputs } = await measure(model, batch, model.parameters, signal);
      const gradient = new Float32Array(model.parameterCount);
      const perturbed = model.parameters.slice();
      const lossAt = async (i: number, weight: number): Promise<number> => {
        perturbed[i] = weight;
        return (await measure(model, batch, perturbed, signal)).loss;
      };
      for (let query = 0; query < coordinates; query++) {
        const i = (step * coordinates + query) % gradient.length;
        const weight = model.parameters[i]!;
        gradient[i] = ((await lossAt(i, weight + mu)) - (await lossAt(i, weight - mu))) / (2 * mu);
        perturbed[i] = weight;
      }
      // Only `model.evaluate` uses running statistics, and it does not use the chip: they stay unchanged.
      return { loss, outputs, statistics: model.statistics, gradient, queries: 1 + 2 * coordinates };
    },
  };
}

const { train: trainSet, test: testSet } = synthetic();
const model = new Model(cnn({ depth: 1, classes: 10 }), { seed: 1 });
const run = train(model, trainSet, {
  estimator: onChip(0.05, 73),
  optimizer: sgd({ lr: 1, momentum: 0.5 }),
  steps,
  batchSize: 64,
  seed: 1,
});
const { queriesPerStep, secondsPerStep } = await run.estimateCost();
console.log(`${queriesPerStep} queries, about ${secondsPerStep.toFixed(2)} s per step`);
for await (const { step, loss, accuracy } of run) {
  console.log(`step ${step}  loss ${loss.toFixed(3)}  accuracy ${accuracy?.toFixed(3)}`);
}
const testBatch = testSet.batch(Uint32Array.from({ length: testSet.count }, (_, i) => i));
const { loss, accuracy } = await measure(model, testBatch, model.parameters);
console.log(`test images on the chip: loss ${loss.toFixed(3)}  accuracy ${accuracy?.toFixed(3)}`);
