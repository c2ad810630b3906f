/**
 * An estimator of your own, for a loss that nobody can differentiate: here that of a simulated chip, which holds every weight
 * in steps of 1/64, so that its derivative is 0 wherever it exists.
 *
 *     npx tsx examples/black-box.ts [STEPS]
 */
import { cnn, Model, sgd, synthetic, train } from 'deepzero';
import type { Batch, Estimator, Evaluation } from 'deepzero';

const steps = Number(process.argv[2] ?? 100);

/** What the chip makes of weights. */
const held = (weights: Float32Array): Float32Array => weights.map((weight) => Math.round(64 * weight) / 64);

/** What the chip measures of a batch under these weights. Yours asks an instrument, a simulator or a service. */
async function measure(model: Model, batch: Batch, weights: Float32Array): Promise<Evaluation> {
  return await model.evaluate(batch, { at: held(weights), training: true });
}

/** Central differences, wider than the chip's steps, of some coordinates at a step, in turn. */
function onChip(mu: number, coordinates: number): Estimator {
  return {
    describe: { kind: 'chip', mu, coordinates },
    queriesPerStep: () => 1 + 2 * coordinates,
    sample: (queries) => onChip(mu, Math.min(coordinates, Math.max(1, Math.floor((queries - 1) / 2)))),
    async estimate(model, batch, { step, signal }) {
      const { loss, outputs, statistics } = await measure(model, batch, model.parameters);
      const gradient = new Float32Array(model.parameterCount);
      const perturbed = model.parameters.slice();
      const lossAt = async (i: number, weight: number): Promise<number> => {
        signal?.throwIfAborted();
        perturbed[i] = weight;
        return (await measure(model, batch, perturbed)).loss;
      };
      for (let query = 0; query < coordinates; query++) {
        const i = (step * coordinates + query) % gradient.length;
        const weight = model.parameters[i]!;
        gradient[i] = ((await lossAt(i, weight + mu)) - (await lossAt(i, weight - mu))) / (2 * mu);
        perturbed[i] = weight;
      }
      return { loss, outputs, statistics, gradient, queries: 1 + 2 * coordinates };
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
model.parameters.set(held(model.parameters));
console.log('test', await model.test(testSet));
