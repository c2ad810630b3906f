import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { COMMAND, deepzero, type Outcome, outcomeOf, TINY, writeImages } from '../helpers/command.js';
import { inMode, launch, LAUNCHERS, type Launcher, linesOf, needsLaunchers } from '../helpers/ranks.js';
import { linearSimulator } from '../helpers/simulators.js';
import { withFolder } from '../helpers/tiny.js';
import { RECIPE } from '../helpers/train-command.js';

interface Results {
  ranks: number;
  results: object;
}

/** Launchers, ranks and threads, every number of ranks and of threads with both. */
const LAUNCHES: [Launcher, number, number][] = [
  ['mpirun.openmpi', 1, 2],
  ['mpirun.openmpi', 2, 1],
  ['mpirun.openmpi', 4, 2],
  ['mpirun.mpich', 1, 1],
  ['mpirun.mpich', 2, 2],
  ['mpirun.mpich', 4, 1],
];

const sha256 = async (file: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

describe('ranks', () => {
  describe('compute the bits of one process', () => {
    let alone: Results;
    let simulator: { SIMULATOR: string };
    before(async () => {
      simulator = { SIMULATOR: linearSimulator() };
      const [file, ...args] = inMode('results') as [string, ...string[]];
      const { stdout, stderr } = await outcomeOf(spawn(file, args, { env: { ...process.env, ...simulator } }));
      assert.equal(stderr, '');
      alone = JSON.parse(stdout) as Results;
      assert.equal(alone.ranks, 1);
    });

    for (const [launcher, ranks, threads] of LAUNCHES) {
      it(`by every estimator: ${ranks} of ${threads} under ${launcher}`, async function () {
        needsLaunchers(this, launcher);
        const env = { ...simulator, RANKS_THREADS: String(threads) };
        const { code, stdout, stderr } = await launch(launcher, ranks, inMode('results'), { env }).outcome();
        assert.deepEqual([code, stderr], [0, '']);
        assert.deepEqual(JSON.parse(stdout), { ...alone, ranks });
      });
    }

    it('over TCP, where some versions of MPICH do not end by themselves', async function () {
      needsLaunchers(this, 'mpirun.mpich');
      const env = { ...simulator, UCX_TLS: 'tcp,self' };
      const { stdout } = await launch('mpirun.mpich', 2, inMode('results'), { env }).outcome();
      assert.deepEqual(JSON.parse(stdout.split('\n')[0]!), { ...alone, ranks: 2 });
    });
  });

  it('print what one process prints, once', function () {
    needsLaunchers(this, ...LAUNCHERS);
    return withFolder(async (folder) => {
      const small = [...TINY, '--data', await writeImages(folder), '--threads', '1'];
      const check = ['gradcheck', ...small, '--batch-size', '8', '--count', '4'];
      const grasp = ['--grasp-queries', '4', '--samples-per-class', '2'];
      const cases: [Launcher, string[]][] = [
        ['mpirun.openmpi', [...check, '--mu', '5e-3', '--json']],
        ['mpirun.mpich', ['prune', ...small, '--sparsity', '0.5', ...grasp, '--json']],
        // Without a finite loss, and where they would have nothing to do.
        ['mpirun.openmpi', [...check, '--mu', '1e38']],
        ['mpirun.mpich', [...check, '--mu', '1e38']],
        ['mpirun.mpich', ['train', '--lr', 'high']],
      ];
      for (const [launcher, args] of cases) {
        const expected = await deepzero(args);
        const found = await launch(launcher, 3, [...COMMAND, ...args]).outcome();
        assert.deepEqual([found.stdout, found.code], [expected.stdout, expected.code]);
        assert.deepEqual(linesOf(found), linesOf(expected));
      }
    });
  });

  it('train in their own folder, to the weights of one process', function () {
    needsLaunchers(this, ...LAUNCHERS);
    return withFolder(async (folder) => {
      const args = ['train', ...RECIPE, '--data', await writeImages(folder), '--steps', '9'];
      const digestOf = async (name: string, run: (args: string[]) => Promise<Outcome>): Promise<string> => {
        const out = join(folder, name);
        const { code, stderr } = await run([...args, '--out', out]);
        assert.equal(code, 0, stderr);
        return sha256(join(out, 'model.safetensors'));
      };
      const expected = await digestOf('alone', (all) => deepzero(all));
      for (const [launcher, ranks] of [
        ['mpirun.openmpi', 2],
        ['mpirun.mpich', 3],
      ] as const) {
        assert.equal(
          await digestOf(launcher, (all) => launch(launcher, ranks, [...COMMAND, ...all]).outcome()),
          expected,
        );
      }
    });
  });
});
