/**
 * Teaches MuJoCo's swimmer to swim: a linear policy of 16 numbers, by augmented random search (Mania, Guy & Recht 2018). The loss is minus the
 * reward of an episode; all episodes of a step begin in the same state, and those of another step in another.
 *
 *     npx tsx examples/mujoco.ts [EPISODES]        needs MuJoCo: npm install @mujoco/mujoco
 */
import { ars, minimize, sgd } from 'deepzero';

import { walker } from './walkers.js';

const { states, actions, episode } = await walker('Swimmer');

/** The mean reward of whole episodes from states that training does not see. */
function reward(policy: Float64Array): string {
  const rewards = Array.from({ length: 5 }, (_, i) => episode(policy, { seed: `held out ${i}` }));
  return (rewards.reduce((sum, one) => sum + one) / rewards.length).toFixed(1);
}

console.log(`reward before ${reward(new Float64Array(states * actions))}`);
const { x, evaluations } = await minimize(
  // A third of an episode tells enough.
  (policy, { sample }) => -episode(policy, { seed: `start ${sample as number}`, actions: 300 }),
  { policy: Array.from({ length: actions }, () => new Float64Array(states)) },
  {
    estimator: ars({ directions: 4, mu: 0.1 }),
    optimizer: sgd({ lr: 0.1 }),
    budget: { evaluations: Number(process.argv[2] ?? 250) },
    onStep: ({ step, loss }) => {
      console.log(`step ${step}  reward ${(-loss).toFixed(1)}`);
    },
  },
);
console.log(`reward after ${reward(x)}, ${evaluations} episodes`);
