import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../../lib/native/random.js';
import { COMMAND, json, writeImages } from '../helpers/command.js';
import { launch, LAUNCHERS, type Launcher, needsLaunchers } from '../helpers/ranks.js';
import { until } from '../helpers/resources.js';
import { withFolder } from '../helpers/tiny.js';
import { RECIPE } from '../helpers/train-command.js';

type Target = 'launcher' | 0 | 1;

/** What ends a run in the middle. */
const DISTURBANCES: [Launcher, Target, NodeJS.Signals][] = [
  ['mpirun.openmpi', 'launcher', 'SIGINT'],
  ['mpirun.mpich', 'launcher', 'SIGTERM'],
  ['mpirun.openmpi', 1, 'SIGKILL'],
  ['mpirun.mpich', 0, 'SIGKILL'],
  ['mpirun.mpich', 'launcher', 'SIGINT'],
  ['mpirun.openmpi', 'launcher', 'SIGTERM'],
  ['mpirun.openmpi', 0, 'SIGKILL'],
  ['mpirun.mpich', 1, 'SIGKILL'],
  ['mpirun.openmpi', 'launcher', 'SIGKILL'],
  ['mpirun.mpich', 'launcher', 'SIGKILL'],
];

/** How often a run is ended in each way; by hand, 20. Without it the first four ways are tried once. */
const KILLS = Number(process.env['DEEPZERO_KILLS'] ?? 0);

const stepsIn = async (run: string): Promise<number> =>
  (await readFile(join(run, 'log.jsonl'), 'utf8').catch(() => '')).split('\n').length - 1;

const digestOf = async (run: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(join(run, 'model.safetensors')))
    .digest('hex');

/** Goes on with a run, under a launcher, and ends it after some steps; says whether the last of them is saved. */
async function disturb(
  run: string,
  args: readonly string[],
  [launcher, target, signal]: (typeof DISTURBANCES)[number],
  random: Random,
): Promise<boolean> {
  const before = await stepsIn(run);
  const ranks = launch(launcher, 2 + random.integer(2), [
    ...COMMAND,
    ...args,
    '--threads',
    String(1 + random.integer(2)),
  ]);
  const more = 1 + random.integer(10);
  await until(async () => ranks.hasEnded || (await stepsIn(run)) >= before + more);
  await sleep(random.integer(10));
  if (!ranks.hasEnded) process.kill(target === 'launcher' ? ranks.child.pid! : ranks.pidOf(target), signal);
  const { stdout, stderr } = await ranks.outcome();
  const after = await stepsIn(run);
  assert.ok(after >= before + more, stderr);
  const isSaved = stdout.includes(`${after.toLocaleString('en-US')} of 1,000,000 steps are done and saved`);
  // Open MPI's launcher ends rank 0 a second after it has asked it to end.
  if (launcher === 'mpirun.mpich' && signal !== 'SIGKILL') assert.ok(isSaved, stdout);
  return isSaved;
}

describe('a run of which ranks, launchers and threads change, and which dies in every way', () => {
  it('has the weights of a run on one process that was not disturbed', async function () {
    needsLaunchers(this, ...LAUNCHERS);
    if (KILLS > 0) this.timeout(0);
    await withFolder(async (folder) => {
      const ways = KILLS > 0 ? Array.from({ length: KILLS }, () => DISTURBANCES).flat() : DISTURBANCES.slice(0, 4);
      const [run, whole] = [join(folder, 'run'), join(folder, 'whole')];
      const fixed = [...RECIPE, '--data', await writeImages(folder), '--schedule', 'constant'];
      const begin = ['train', ...fixed, '--steps', '1000000', '--checkpoint-every', '0', '--out', run];
      const goOn = ['train', '--resume', run, '--checkpoint-every', '0'];
      const random = new Random(7, 'trials');
      const saved = new Map<string, number>();
      for (const [i, way] of ways.entries()) {
        const isSaved = await disturb(run, i === 0 ? begin : goOn, way, random);
        saved.set(way.join(' '), (saved.get(way.join(' ')) ?? 0) + Number(isSaved));
      }
      // Steps that were not saved are made again.
      const steps = (await stepsIn(run)) + 3;
      await json(['train', '--resume', run, '--steps', String(steps)]);
      await json(['train', ...fixed, '--steps', String(steps), '--out', whole]);
      assert.equal(await digestOf(run), await digestOf(whole));
      if (KILLS === 0) return;
      console.log(`      ${ways.length} ends within ${steps} steps; the last step was saved in`);
      for (const [way, count] of saved) console.log(`      ${count} of ${KILLS}: ${way}`);
    });
  });
});
