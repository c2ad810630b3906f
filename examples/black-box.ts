/**
 * Trains a simulated chip that can only be asked for its loss: it holds every weight as a multiple of 1/64, so that the derivative
 * of the loss is 0 wherever it exists. A real device is queried in the same place.
 *
 *     npx tsx examples/black-box.ts [STEPS]
 */
import { cge, cnn, minimize, Model, sgd, synthetic } from 'deepzero';

const { train } = synthetic();
const chip = new Model(cnn({ depth: 1, classes: 10 }), { seed: 1 });
const batch = train.batch(Uint32Array.from({ length: 64 }, (_, i) => i));

const { loss, evaluations, message } = await minimize(
  async (weights) => (await chip.forward(batch, { at: Float32Array.from(weights), training: true })).loss,
  chip.parameters,
  {
    // μ is larger than the resolution, because smaller changes of a weight do not change the loss.
    estimator: cge({ mu: 0.05, central: true, sparsity: 0.9, redrawEvery: 1 }),
    optimizer: sgd({ lr: 1, momentum: 0.5 }),
    budget: { steps: Number(process.argv[2] ?? 100) },
    resolution: 1 / 64,
    onStep: (step) => {
      console.log(`step ${step.step}  loss ${step.loss.toFixed(3)}`);
    },
  },
);
console.log(`loss ${loss.toFixed(3)} after ${evaluations} evaluations. ${message}.`);
