/**
 * An estimator of your own, for a loss that nobody can differentiate: here that of a simulated chip, which holds every weight
 * in steps, so that the derivative of the loss is 0 wherever there is one.
 *
 *     npx tsx examples/black-box.ts [STEPS]
 *
 * To train an instrument instead, let `measure` ask it. The network then says nothing but how many parameters there are and where
 * they start. How a run is saved and resumed is in cifar10-resnet20.ts.
 */
import { cnn, Model, sgd, synthetic, train } from 'deepzero';
import type { Batch, Estimator } from 'deepzero';

const steps = Number(process.argv[2] ?? 100);

/** What the chip can hold: multiples of this. */
const RESOLUTION = 1 / 64;

interface Reading {
  /** Mean over the batch. */
  loss: number;
  /** A row of scores for every image: for the accuracy alone. If there are none, zeros do. */
  outputs: Float32Array;
  accuracy?: number;
}

/** What the chip yields for a batch when it holds these weights, as nearly as it can. */
async function measure(model: Model, batch: Batch, weights: Float32Array, signal?: AbortSignal): Promise<Reading> {
  const held = weights.map((weight) => RESOLUTION * Math.round(weight / RESOLUTION));
  return await model.forward(batch, { at: held, training: true, signal });
}

/**
 * Central differences along as many coordinates a step as `coordinates` says, the next ones at the next step. μ is wider than the
 * chip's resolution: within one of its steps the loss does not change.
 */
function onChip(mu: number, coordinates: number): Estimator {
  return {
    // All that the estimate depends on: a run resumes only with equal ones.
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
      // Running statistics are for `model.evaluate`, which knows nothing of the chip: they stay as they are.
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
console.log(`${queriesPerStep} queries, about ${secondsPerStep.toFixed(2)} s a step`);
for await (const { step, loss, accuracy } of run) {
  console.log(`step ${step}  loss ${loss.toFixed(3)}  accuracy ${accuracy?.toFixed(3)}`);
}
const unseen = testSet.batch(Uint32Array.from({ length: testSet.count }, (_, i) => i));
const { loss, accuracy } = await measure(model, unseen, model.parameters);
console.log(`on the chip, of unseen images: loss ${loss.toFixed(3)}  accuracy ${accuracy?.toFixed(3)}`);
