/**
 * A process that minimises a slow loss with a journal, in the folder of its first argument, and prints the result. It can be killed
 * at any moment, and started again.
 *
 * @module
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Box } from '../../lib/boxes/box.js';
import { functionBox } from '../../lib/boxes/box.js';
import { processBox } from '../../lib/boxes/process.js';
import { cge } from '../../lib/estimators/cge.js';
import { rge } from '../../lib/estimators/rge.js';
import { adam } from '../../lib/optimizers/optimizers.js';
import type { MinimizeOptions } from '../../lib/training/minimize.js';
import { minimize } from '../../lib/training/minimize.js';

const START = Array.from({ length: 12 }, (_, i) => Math.cos(i));

/** Runs that differ in their estimator and in what can be lost. */
const OPTIONS: Record<string, MinimizeOptions> = {
  function: {
    estimator: cge({ mu: 1e-3, central: true, sparsity: 0.3, redrawEvery: 1 }),
    optimizer: adam({ lr: 0.05 }),
    budget: { steps: 12 },
    repeats: 2,
  },
  process: {
    estimator: rge({ mu: 1e-3, queries: 8, central: true }),
    optimizer: adam({ lr: 0.05 }),
    budget: { steps: 12 },
  },
};

type Reply = { loss: number } | { failed: string } | { infeasible: string };

/** The loss. Of some queries there is only a reason, always the same one. */
function lossOf(id: string, x: ArrayLike<number>): Reply {
  if (/[27]\+/.test(id)) return { infeasible: 'out of reach' };
  if (/3-/.test(id)) return { failed: 'no connection' };
  return { loss: Array.from(x).reduce((sum, value, i) => sum + (i + 1) * (value - 0.5) ** 2, 0) };
}

/** The same as a client, which writes each query that it is asked to the file LOG before it answers. */
const CLIENT = `${lossOf.toString()}
const { appendFileSync } = require('node:fs');
appendFileSync(process.env.PIDS, process.pid + '\\n');
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, x } = JSON.parse(line);
  if (id === undefined) return;
  appendFileSync(process.env.LOG, id + '\\n');
  setTimeout(() => console.log(JSON.stringify({ id, ...lossOf(id, x) })), 2);
});`;

function boxOf(kind: string, folder: string): Box {
  const [LOG, PIDS] = [join(folder, 'log'), join(folder, 'pids')];
  if (kind === 'process') {
    return processBox(process.execPath, ['-e', CLIENT], { processes: 2, env: { LOG, PIDS } });
  }
  return functionBox(
    async (x, { id }) => {
      appendFileSync(LOG, `${id}\n`);
      await sleep(2);
      const reply = lossOf(id, x);
      return 'loss' in reply ? reply.loss : reply;
    },
    { parallel: 3 },
  );
}

const [, , folder = '', kind = ''] = process.argv;
const result = await minimize(boxOf(kind, folder), START, {
  ...OPTIONS[kind]!,
  seed: 3,
  retries: 1,
  journal: join(folder, 'answers.jsonl'),
});
console.log(JSON.stringify({ ...result, x: [...result.x] }));
