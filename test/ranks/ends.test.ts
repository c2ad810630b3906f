import assert from 'node:assert/strict';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { COMMAND, type Outcome, writeImages } from '../helpers/command.js';
import { canMount, MOUNTING_SHELL } from '../helpers/mounts.js';
import { inMode, launch, LAUNCHERS, Launched, type Launcher, linesOf, needsLaunchers } from '../helpers/ranks.js';
import { until } from '../helpers/resources.js';
import { withFolder } from '../helpers/tiny.js';
import { RECIPE } from '../helpers/train-command.js';

/** Seconds that rank 0 waits for ranks that do not answer: more than those that answer need on a busy machine. */
const PATIENCE = { DEEPZERO_RANKS_PATIENCE: '5' };

/** Starts a program and waits until it has printed a word. */
async function launched(launcher: Launcher, mode: string, word: string, env = {}): Promise<Launched> {
  const ranks = launch(launcher, 3, inMode(mode), { env });
  await until(() => ranks.stdout.includes(word) || ranks.hasEnded);
  assert.ok(!ranks.hasEnded, JSON.stringify(await outcomeIfEnded(ranks)));
  return ranks;
}

const outcomeIfEnded = (ranks: Launched): Promise<Outcome> | undefined =>
  ranks.hasEnded ? ranks.outcome() : undefined;

describe('the end of a program on ranks', () => {
  const ENDS: [string, string, number, RegExp][] = [
    ['one without an estimate', 'nothing', 0, /^$/],
    ['one that throws', 'throws', 1, /^Error: thrown by the script$/m],
    ['one that exits in the middle of an estimate', 'exits', 3, /^/],
  ];
  for (const [what, mode, code, error] of ENDS) {
    it(`is that of rank 0: ${what}`, async function () {
      needsLaunchers(this, ...LAUNCHERS);
      for (const launcher of LAUNCHERS) {
        const outcome = await launch(launcher, 4, inMode(mode)).outcome();
        assert.equal(outcome.code, code, launcher);
        assert.match(outcome.stderr, error);
        assert.deepEqual([outcome.stdout, linesOf(outcome)], [mode === 'nothing' ? '4 ranks\n' : '', []]);
      }
    });
  }

  const SIGNALS: [Launcher, 'launcher' | 0 | 1, NodeJS.Signals][] = [
    ['mpirun.openmpi', 0, 'SIGKILL'],
    ['mpirun.openmpi', 1, 'SIGKILL'],
    ['mpirun.openmpi', 'launcher', 'SIGTERM'],
    ['mpirun.mpich', 0, 'SIGKILL'],
    ['mpirun.mpich', 1, 'SIGKILL'],
    ['mpirun.mpich', 'launcher', 'SIGINT'],
    ['mpirun.mpich', 'launcher', 'SIGKILL'],
  ];
  for (const [launcher, target, signal] of SIGNALS) {
    it(`comes by ${signal} to ${target === 'launcher' ? launcher : `rank ${target} of ${launcher}`}`, async function () {
      needsLaunchers(this, launcher);
      const ranks = await launched(launcher, 'computes', 'computing');
      process.kill(target === 'launcher' ? ranks.child.pid! : ranks.pidOf(target), signal);
      // Returns once no process is left.
      assert.notEqual((await ranks.outcome()).code, 0);
    });
  }

  it('comes when a rank does not answer in an estimate', async function () {
    needsLaunchers(this, ...LAUNCHERS);
    await Promise.all(
      LAUNCHERS.map(async (launcher) => {
        const ranks = await launched(launcher, 'steps', 'stepping', PATIENCE);
        process.kill(ranks.pidOf(1), 'SIGSTOP');
        const { code, stderr } = await ranks.outcome();
        assert.equal(code, 1);
        assert.match(stderr, /Error: the other ranks have not answered for \d+ s: .* DEEPZERO_RANKS_PATIENCE\b/);
      }),
    );
  });

  it('comes although a rank does not answer to it', async function () {
    needsLaunchers(this, ...LAUNCHERS);
    await Promise.all(
      LAUNCHERS.map(async (launcher) => {
        const ranks = await launched(launcher, 'idles', 'idle', PATIENCE);
        process.kill(ranks.pidOf(2), 'SIGSTOP');
        ranks.child.stdin.end();
        const outcome = await ranks.outcome();
        assert.equal(outcome.code, 1);
        assert.match(linesOf(outcome).join('\n'), /^deepzero: the other ranks have not answered for \d+ s: .*$/);
      }),
    );
  });

  it('waits for ranks that pause', async function () {
    needsLaunchers(this, 'mpirun.mpich');
    const ranks = await launched('mpirun.mpich', 'idles', 'idle', { DEEPZERO_RANKS_PATIENCE: '500' });
    const paused = [1, 0].map((rank) => ranks.pidOf(rank));
    process.kill(paused[0]!, 'SIGSTOP');
    ranks.child.stdin.end();
    // Time to begin to wait.
    await sleep(500);
    process.kill(paused[1]!, 'SIGSTOP');
    await sleep(500);
    for (const pid of paused) process.kill(pid, 'SIGCONT');
    assert.deepEqual(await ranks.outcome(), { code: 0, stdout: 'idle\n', stderr: '' });
  });

  it('comes by a rank that cannot start its threads, which says so', async function () {
    needsLaunchers(this, 'mpirun.mpich');
    const limited = ['sh', '-c', 'ulimit -v 4000000; exec "$0" "$@"'];
    const parts = [[], limited].map((within) => ['-n', '1', ...within, ...inMode('steps')]);
    const outcome = await new Launched('mpirun.mpich', parts, { env: { RANKS_THREADS: '1024' } }).outcome();
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, /rank 1 failed: 1024 threads could not be started, ask for fewer: /);
  });

  it('comes by a full disk as on one process', async function () {
    needsLaunchers(this, ...LAUNCHERS);
    if (!canMount()) this.skip();
    await withFolder(async (folder) => {
      const data = await writeImages(folder);
      const run = join(folder, 'run');
      await mkdir(run);
      const script = `mount -t tmpfs -o size=12k none ${run} && "$0" "$@"`;
      const args = ['train', ...RECIPE, '--data', data, '--steps', '3', '--out', run];
      for (const launcher of LAUNCHERS) {
        const outcome = await launch(launcher, 2, [...COMMAND, ...args], {
          within: [...MOUNTING_SHELL, script],
        }).outcome();
        assert.equal(outcome.code, 1, launcher);
        assert.match(
          linesOf(outcome).join('\n'),
          /^deepzero: .*run\/(run\.json|log\.jsonl|run\.safetensors): no space left on device: make room, then: (npx )?deepzero train --resume \S+\/run$/,
        );
      }
      assert.deepEqual(await readdir(run), []);
    });
  });
});
