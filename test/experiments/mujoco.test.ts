import assert from 'node:assert/strict';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { walker, WALKERS } from '../../examples/walkers.js';
import type { MujocoOptions } from '../../experiments/mujoco.js';
import { mujoco, MUJOCO_METHODS } from '../../experiments/mujoco.js';
import type { Report, ReportRow, Surroundings } from '../../experiments/support/report.js';
import { Whitening } from '../../experiments/support/whitening.js';
import { fails, json } from '../helpers/command.js';
import { withFolder } from '../helpers/tiny.js';

const SHORT: MujocoOptions = {
  ...{ robots: ['Swimmer'], methods: MUJOCO_METHODS, seeds: [0, 1] },
  ...{ rollouts: 40, searchRollouts: 20, actions: 20 },
};

/** @param stopAt The status at which the experiment is stopped. */
async function made(out: string, threads: number, stopAt = Infinity): Promise<Report> {
  const stop = new AbortController();
  let count = 0;
  const surroundings: Surroundings = {
    ...{ out, threads, signal: stop.signal, onNote: () => undefined },
    onStatus: () => {
      if (++count === stopAt) stop.abort();
    },
  };
  return mujoco(SHORT, surroundings, () => Promise.resolve());
}

const plain = ({ rows, ...rest }: Report): object => ({ ...rest, rows: rows.map((row) => ({ ...row, machine: '' })) });

describe('the experiment mujoco', () => {
  it('has robots with the sizes of Gymnasium, whose episodes repeat to the same bits', async () => {
    const sizes = { Swimmer: [8, 2], HalfCheetah: [17, 6] };
    for (const name of WALKERS) {
      const { states, actions, episode } = await walker(name);
      assert.deepEqual([states, actions], sizes[name]);
      const policy = Float64Array.from({ length: states * actions }, (_, i) => Math.sin(i));
      const reward = episode(policy, { seed: 1, actions: 50 });
      assert.notEqual(episode(policy, { seed: 2, actions: 50 }), reward);
      const seen: number[][] = [];
      assert.equal(episode(policy, { seed: 1, actions: 50, onState: (state) => seen.push([...state]) }), reward);
      assert.equal(seen.length, 50);
      // Beyond ±1 an action stays what it is.
      const large = policy.map((weight) => 1e9 * weight);
      const larger = policy.map((weight) => 1e10 * weight);
      assert.equal(episode(large, { seed: 1, actions: 50 }), episode(larger, { seed: 1, actions: 50 }));
      const view = { centre: new Float64Array(states), scale: new Float64Array(states) };
      assert.equal(
        episode(policy, { seed: 1, actions: 50, view }),
        episode(new Float64Array(policy.length), { seed: 1, actions: 50 }),
      );
    }
  });

  it('ends the same on any number of threads and however often it is stopped, with no episode played twice', () =>
    withFolder(async (folder) => {
      const whole = await made(join(folder, 'whole'), 1);
      const out = join(folder, 'parts');
      for (const stopAt of [2, 5]) await assert.rejects(made(out, 3, stopAt), { name: 'AbortError' });
      assert.deepEqual(plain(await made(out, 2)), plain(whole));
      const run = join(out, 'Swimmer-ars-mu0.03-rate0.02-20x20-seed1000');
      const lines = (await readFile(join(run, 'journal.jsonl'), 'utf8')).trimEnd().split('\n').slice(1);
      const ids = lines.map((line) => (JSON.parse(line) as { id: string }).id);
      assert.equal(new Set(ids).size, ids.length);
      assert.deepEqual(
        whole.rows.map(({ method, runs, rollouts }) => [method, runs, rollouts]),
        [
          ['ARS V2', 2, 37],
          ['RGE', 2, 37],
          ['CGE', 2, 35],
        ],
      );
    }));

  it('whitens states by those of earlier steps, whatever the order in which episodes end', () =>
    withFolder(async (folder) => {
      const sums = (value: number) => ({ count: 2, sums: [2 * value, 0], squares: [2 * value ** 2 + 2 * 0.1 ** 2, 0] });
      const queries: [string, number][] = [
        ['0.b', 0.1],
        ['0.d0+', 0.3],
        ['0.d10-', 0.7],
        ['1.b', 5],
      ];
      const files = ['forwards', 'backwards'].map((name) => join(folder, name));
      const views = files.map((file, k) => {
        const whitening = new Whitening(file, 2);
        assert.equal(whitening.at(0), undefined);
        for (const [id, value] of k === 0 ? queries : queries.toReversed()) whitening.add(id, sums(value));
        return whitening.at(1);
      });
      assert.deepEqual(views[0], views[1]);
      const [mean, squares] = [1.1 / 3, (0.01 + 0.09 + 0.49) / 3 + 0.01];
      assert.ok(Math.abs(views[0]!.centre[0]! - mean) < 1e-15);
      assert.ok(Math.abs(views[0]!.scale[0]! - 1 / Math.sqrt(squares - mean ** 2)) < 1e-12);
      // What never changes is not seen.
      assert.equal(views[0]!.scale[1], 0);
      // What a kill leaves of a line.
      await appendFile(files[0]!, '{"id":"1.d0+","co');
      const again = new Whitening(files[0]!, 2);
      assert.deepEqual(again.at(1), views[0]);
      again.add('1.d0+', sums(1));
      assert.deepEqual(new Whitening(files[0]!, 2).at(2), again.at(2));
      await writeFile(files[1]!, '{"id":"0.b","count":1,"sums":[1],"squares":[1]}\n');
      assert.throws(() => new Whitening(files[1]!, 2), /expected sums of 2 states in each line/);
    }));

  it('runs as a command, and refuses budgets without a step', () =>
    withFolder(async (folder) => {
      const args = [
        '--methods',
        'ars',
        '--seeds',
        '0',
        '--rollouts',
        '20',
        '--search-rollouts',
        '20',
        '--actions',
        '20',
      ];
      const { rows } = await json(['experiment', 'mujoco', '--quick', '--out', join(folder, 'out'), ...args]);
      assert.deepEqual(
        (rows as ReportRow[]).map(({ robot, runs }) => [robot, runs]),
        [['Swimmer', 1]],
      );
      const none = ['experiment', 'mujoco', '--quick', '--out', join(folder, 'none')];
      await fails(
        [...none, '--rollouts', '17', '--methods', 'cge'],
        2,
        /Expected --rollouts to be at least 18, a step of CGE for Swimmer and its end, received 17/,
      );
      await fails(
        [...none, '--search-rollouts', '9', '--methods', 'rge'],
        2,
        /Expected --search-rollouts to be at least 10/,
      );
    }));
});
