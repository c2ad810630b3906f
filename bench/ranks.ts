/**
 * Sparse-CGE of ResNet-20 on ranks of one thread beside one process of as many threads: the seconds of the estimates alone, in
 * turn, the best of all rounds.
 *
 *     npx tsx bench/ranks.ts [--ranks 2] [--launcher "mpirun --bind-to none"] [--sparsity 0.9] [--queries 2000] [--rounds 5]
 *
 * Of a step's queries it makes a sample that is spread over the layers; `--queries 0` makes all, which takes minutes.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { cge, Model, rankCount, resnet20, synthetic } from 'deepzero';

import { outputOf, script } from '../scripts/run.js';
import { fraction, integer, number } from './support/options.js';

const BATCH_SIZE = 256;

/** By it a process knows that it is to make estimates. */
const ESTIMATES = 'RANKS_ESTIMATES';

/** Queries before those that count. */
const WARM_UP = 100;

interface Timed {
  ranks: number;
  queries: number;
  seconds: number;
}

/** What a process, or rank 0, does. */
async function estimate(threads: number, sparsity: number, queries: number): Promise<Timed> {
  const { train } = synthetic({ train: BATCH_SIZE, test: 1 });
  const batch = train.batch(Uint32Array.from({ length: BATCH_SIZE }, (_, i) => i));
  using model = new Model(resnet20(), { seed: 0, threads });
  const whole = cge({ mu: 5e-3, sparsity });
  const estimator = queries === 0 ? whole : whole.sample(queries);
  const context = { seed: 1, step: 0, epoch: 0 };
  await whole.sample(WARM_UP).estimate(model, batch, context);
  const begun = performance.now();
  const made = await estimator.estimate(model, batch, context);
  return { ranks: rankCount(), queries: made.queries, seconds: (performance.now() - begun) / 1000 };
}

await script(async () => {
  const { values } = parseArgs({
    options: {
      ranks: { type: 'string', default: '2' },
      launcher: { type: 'string', default: 'mpirun --bind-to none' },
      sparsity: { type: 'string', default: '0.9' },
      queries: { type: 'string', default: '2000' },
      rounds: { type: 'string', default: '5' },
      threads: { type: 'string', default: '1' },
    },
  });
  const ranks = number('', integer(2), 2).parse(values.ranks, '--ranks');
  const sparsity = number('', fraction, 0.9).parse(values.sparsity, '--sparsity');
  const queries = number('', integer(0), 2000).parse(values.queries, '--queries');
  const rounds = number('', integer(1), 5).parse(values.rounds, '--rounds');
  const threads = number('', integer(1), 1).parse(values.threads, '--threads');
  if (process.env[ESTIMATES] !== undefined) {
    console.log(JSON.stringify(await estimate(threads, sparsity, queries)));
    return;
  }
  const [launcher, ...options] = values.launcher.split(' ') as [string, ...string[]];
  const program = [process.execPath, '--import', 'tsx', fileURLToPath(import.meta.url)];
  const shared = ['--sparsity', String(sparsity), '--queries', String(queries)];
  const timed = (command: readonly [string, ...string[]], own: number): Timed => {
    const [file, ...before] = command;
    const args = [...before, ...program, ...shared, '--threads', String(own)];
    const output = outputOf(file, args, { env: { ...process.env, [ESTIMATES]: '1' } });
    return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Timed;
  };
  const best = { alone: Infinity, together: Infinity };
  for (let round = 0; round < rounds; round++) {
    const alone = timed(['env'], ranks);
    const together = timed([launcher, ...options, '-n', String(ranks)], 1);
    if (together.ranks !== ranks)
      throw new Error(`Expected ${values.launcher} to start ${ranks} ranks, received ${together.ranks}`);
    best.alone = Math.min(best.alone, alone.seconds);
    best.together = Math.min(best.together, together.seconds);
    const both = `${ranks} threads ${alone.seconds.toFixed(2)} s, ${ranks} ranks ${together.seconds.toFixed(2)} s`;
    console.log(`round ${round + 1}: ${both}, ${together.queries} queries`);
  }
  const both = `${ranks} threads ${best.alone.toFixed(2)} s, ${ranks} ranks ${best.together.toFixed(2)} s`;
  console.log(`best: ${both}, ratio ${(best.alone / best.together).toFixed(3)}`);
});
