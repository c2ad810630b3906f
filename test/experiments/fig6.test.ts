import assert from 'node:assert/strict';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import type { Wake } from '../../bench/support/wake.js';
import { ACROSS, buildWake, startVelocities, STATE, VELOCITIES, WIDTH } from '../../bench/support/wake.js';
import { fig6 } from '../../experiments/fig6.js';
import { errorsOf, rolledOut } from '../../experiments/fig6/errors.js';
import type { Fig6Options } from '../../experiments/fig6/methods.js';
import { queriesTo } from '../../experiments/fig6/figures.js';
import { FIG6_METHODS } from '../../experiments/fig6/methods.js';
import { picturesSvg, vorticity } from '../../experiments/fig6/pictures.js';
import { allReferences, References } from '../../experiments/fig6/references.js';
import { missing, Setting } from '../../experiments/fig6/setting.js';
import { Unrolled } from '../../experiments/fig6/surrogate.js';
import { deviationsOf, Windows } from '../../experiments/fig6/windows.js';
import type { Report, Surroundings } from '../../experiments/support/report.js';
import { cge } from '../../lib/estimators/cge.js';
import { fails } from '../helpers/command.js';
import { NonFiniteLossError } from '../../lib/model/non-finite.js';
import { BestWeights } from '../../experiments/fig6/selection.js';
import { relativeError } from '../helpers/outputs.js';
import { withFolder } from '../helpers/tiny.js';

/** Without dense CGE, whose step takes seconds. */
const METHODS = FIG6_METHODS.filter((method) => method !== 'zo-sol-dense');

const SHORT: Fig6Options = {
  ...{ methods: METHODS, seeds: [0], skipped: 2, frames: 7, epochs: 1, steps: 3, dragSteps: 2 },
  ...{ unroll: 2, trajectories: 2, sparsity: 0.999, graspQueries: 1, graspTrajectories: 1 },
};

function surroundingsIn(out: string, threads: number, stopAt = Infinity): Surroundings {
  const stop = new AbortController();
  let count = 0;
  const onStatus = (): void => {
    if (++count === stopAt) stop.abort();
  };
  return { out, threads, signal: stop.signal, onNote: () => undefined, onStatus };
}

async function made(out: string, threads: number, stopAt?: number): Promise<Report> {
  await mkdir(out, { recursive: true });
  return await fig6(SHORT, surroundingsIn(out, threads, stopAt), () => Promise.resolve());
}

/** Weights and learning curve of each run, without times. */
async function runsIn(out: string): Promise<object[]> {
  return await Promise.all(
    SHORT.methods.map(async (method) => {
      const { result } = JSON.parse(await readFile(join(out, `${method}-seed0/result.json`), 'utf8')) as {
        result: { weights: number[]; curve: { queries: number; loss: number }[] };
      };
      return { weights: result.weights, curve: result.curve.map(({ queries, loss }) => [queries, loss]) };
    }),
  );
}

const plain = ({ rows, ...rest }: Report): object => ({
  ...rest,
  rows: rows.map((row) => ({ ...row, machine: '', minutes: 0 })),
});

describe('the experiment fig6', () => {
  let wake: Wake;
  before(() => {
    wake = buildWake();
  });
  const deviations = { along: 0.3, across: 0.25, reynolds: 1000 };

  /** A trajectory of the coarse solver itself at each Reynolds number. */
  async function coarse(reynolds: readonly number[], frames: number): Promise<References> {
    const setting = new Setting(wake.simulator, deviations, 2);
    const values = new Float32Array(reynolds.length * frames * STATE);
    reynolds.forEach((_, i) => {
      values.set(startVelocities(), i * frames * STATE);
    });
    const none = setting.none();
    const states = await rolledOut(setting, none, new References(reynolds, frames, values));
    states.flat().forEach((state, at) => {
      const [i, step] = [Math.floor(at / (frames - 1)), at % (frames - 1)];
      values.set(state, (i * frames + step + 1) * STATE);
    });
    return new References(reynolds, frames, values);
  }

  it('finds no error where the reference is the coarse solver, and the one that was added', async () => {
    const exact = await coarse([150, 900], 6);
    const setting = new Setting(wake.simulator, deviations, 2);
    const none = setting.none();
    const { velocity, overTime, drag } = await errorsOf(setting, none, exact);
    assert.deepEqual([velocity.length, overTime.length, drag.length], [2, 5, 2]);
    for (const error of [...velocity, ...overTime, ...drag]) assert.ok(error < 1e-5, String(error));
    const values = new Float32Array(2 * 6 * STATE);
    for (let i = 0; i < 2; i++) {
      for (let frame = 0; frame < 6; frame++) {
        const moved = exact.frame(i, frame).map((value, at) => value + (frame === 0 ? 0 : at < WIDTH ? 0.1 : 0.3));
        values.set(moved, (i * 6 + frame) * STATE);
      }
    }
    const away = await errorsOf(setting, none, new References([150, 900], 6, values));
    for (const error of [...away.velocity, ...away.overTime]) assert.ok(Math.abs(error - 0.1) < 1e-5, String(error));
    for (const error of away.drag) assert.ok(Math.abs(error - 0.3) < 1e-5, String(error));
  });

  it("has NOG's gradient equal to the whole one over a single step, and another one over two", async () => {
    const reference = await coarse([150, 900], 4);
    const setting = new Setting(wake.simulator, deviationsOf(reference), 2);
    for (const [steps, isWhole] of [
      [1, true],
      [2, false],
    ] as const) {
      using model = setting.inLoop('velocity', steps);
      model.parameters.set(setting.initial(3));
      using surrogate = new Unrolled(setting, steps);
      const batch = new Windows(reference, setting.deviations, 'velocity', steps).batch(Uint32Array.of(0, 3));
      const context = { seed: 0, step: 0, epoch: 0 };
      const known = await surrogate.gradient(model, batch);
      const estimator = cge({ mu: 1e-3, central: true, coordinates: Uint32Array.of(0, 500, 2000, 2770, 3056, 3057) });
      const { gradient } = await estimator.estimate(model, batch, context);
      const at = [0, 500, 2000, 2770, 3056, 3057];
      const away = relativeError(at.map((i) => known[i]!), at.map((i) => gradient[i]!)); // prettier-ignore
      assert.equal(away < 1e-4, isWhole, `${steps} steps: ${away}`);
    }
  });

  it('trains NON to add what is missing', async () => {
    const reference = await coarse([150], 3);
    const setting = new Setting(wake.simulator, deviations, 1);
    const { count, images, targets } = (await setting.pairs(reference)).batch(Uint32Array.of(0, 1));
    assert.equal(count, 2);
    // The reference is the solver itself: nothing is missing, but rounding.
    assert.ok(targets!.every((value) => Math.abs(value) < 1e-5));
    assert.ok(images.some((value) => Math.abs(value) > 1));
    const cells = 2 * ACROSS * ACROSS;
    const wanted = Float32Array.from({ length: WIDTH }, (_, i) => i);
    const lacks = missing(new Float32Array(3 * cells), wanted);
    // The faces before cell (1, 2): of u those of a row of cells, of v one more.
    assert.equal(lacks[ACROSS + 2], ACROSS + 2);
    assert.equal(lacks[cells + ACROSS + 2], VELOCITIES[0] + ACROSS + 1 + 2);
  });

  it('makes windows of frames that follow each other', async () => {
    const reference = await coarse([150, 900], 7);
    const windows = new Windows(reference, deviations, 'flow', 2, 2);
    assert.equal(windows.count, 2 * 3);
    const { images, targets } = windows.batch(Uint32Array.of(4));
    assert.equal(images[0], 900);
    assert.deepEqual(images.subarray(1, 1 + WIDTH), reference.frame(1, 2).subarray(0, WIDTH));
    const last = reference.frame(1, 4);
    assert.deepEqual(targets!.subarray(STATE + WIDTH), last.subarray(WIDTH));
    assert.equal(targets![STATE + 5], Math.fround(last[5]! / 0.3));
    assert.equal(targets![STATE + WIDTH - 1], Math.fround(last[WIDTH - 1]! / 0.25));
  });

  it('draws the vorticity', () => {
    // A rotation about (0, 0): u = −y, v = x, in cells.
    const velocities = new Float32Array(WIDTH);
    for (let i = 0; i <= 2 * ACROSS; i++) for (let j = 0; j < ACROSS; j++) velocities[i * ACROSS + j] = -j;
    for (let i = 0; i < 2 * ACROSS; i++) {
      for (let j = 0; j <= ACROSS; j++) velocities[VELOCITIES[0] + i * (ACROSS + 1) + j] = i;
    }
    const field = vorticity(velocities);
    assert.equal(field.length, (2 * ACROSS - 1) * (ACROSS - 1));
    for (const value of field) assert.ok(Math.abs(value - 2 / (100 / ACROSS)) < 1e-6);
    const rows = [{ name: 'reference', velocities: [velocities] }];
    const svg = picturesSvg({ title: 'A title', columns: ['step 1'], rows });
    const png = Buffer.from(/base64,([^"]+)/.exec(svg)![1]!, 'base64');
    assert.deepEqual([png.readUInt32BE(16), png.readUInt32BE(20)], [2 * ACROSS - 1, ACROSS - 1]);
    const length = png.readUInt32BE(33);
    const pixels = inflateSync(png.subarray(41, 41 + length));
    assert.equal(pixels.length, (ACROSS - 1) * (1 + 3 * (2 * ACROSS - 1)));
    // Red at a corner, grey in the cylinder.
    assert.deepEqual([...pixels.subarray(1, 4)], [195, 30, 30]);
    const middle = (ACROSS / 2 - 1) * (1 + 3 * (2 * ACROSS - 1)) + 1 + 3 * (ACROSS / 2 - 1);
    assert.equal(pixels[middle], 120);
  });

  it('ends the same on any number of threads and however often it is stopped', () =>
    withFolder(async (folder) => {
      const whole = await made(join(folder, 'whole'), 1);
      assert.deepEqual(
        whole.rows.map(({ method }) => method),
        ['SRC', 'NON', 'NOG', 'ZO-SOL, sparse-CGE', 'guided sparse-CGE', 'ZO-SOL to the drag'],
      );
      assert.deepEqual(Object.keys(whole.pictures!), ['time', 'queries', 'vorticity']);
      const out = join(folder, 'parts');
      for (const stopAt of [2, 6, 4]) await assert.rejects(made(out, 2, stopAt), { name: 'AbortError' });
      assert.deepEqual(plain(await made(out, 2)), plain(whole));
      const runs = await runsIn(out);
      assert.deepEqual(runs, await runsIn(join(folder, 'whole')));
      // The curve goes on to the end.
      const [, , sparse] = whole.rows.slice(1);
      assert.equal((runs[2] as { curve: number[][] }).curve.at(-1)![0], sparse!['queries']);
    }));

  it('has the weights with the smallest loss, whatever came before and after, and goes on from a file', () =>
    withFolder(async (folder) => {
      const file = join(folder, 'best.json');
      const lossOf = ([weight]: Float32Array): Promise<number> =>
        Number.isNaN(weight)
          ? Promise.reject(new NonFiniteLossError('it is NaN', null, null))
          : Promise.resolve(weight!);
      const first = await BestWeights.open(file, lossOf);
      for (const [step, weight] of [NaN, 3, NaN, 2, 5].entries()) await first.consider(step, Float32Array.of(weight));
      assert.deepEqual(first.best.weights, [2]);
      const second = await BestWeights.open(file, lossOf);
      await second.consider(5, Float32Array.of(2));
      assert.equal(second.best.step, 3);
      await second.consider(6, Float32Array.of(1));
      assert.equal((await BestWeights.open(file, lossOf)).best.step, 6);
    }));

  it('keeps references, and refuses files that are not those', () =>
    withFolder(async (out) => {
      const lengths = { skipped: 1, frames: 2 };
      const { training, test } = await allReferences(lengths, wake.data, surroundingsIn(out, 1));
      assert.deepEqual([training.reynolds.length, test.reynolds.length], [6, 5]);
      const again = await allReferences(lengths, '/no/program', surroundingsIn(out, 1)).catch(
        (error: unknown) => error,
      );
      assert.match(String(again), /ENOENT/);
      assert.equal((await allReferences(lengths, wake.data, surroundingsIn(out, 1))).test.digest, test.digest);
      const longer = await allReferences({ skipped: 1, frames: 3 }, wake.data, surroundingsIn(out, 1));
      assert.deepEqual(longer.test.frame(4, 1), test.frame(4, 1));
      const file = join(out, 'references-test.f32');
      const bytes = await readFile(file);
      bytes[1000]! ^= 1;
      await writeFile(file, bytes);
      const read = (): Promise<object> => allReferences({ skipped: 1, frames: 3 }, wake.data, surroundingsIn(out, 1));
      await assert.rejects(read(), /references-test\.f32: is not what .*references-test\.json says: delete it/);
      await truncate(file, 1000);
      await assert.rejects(read(), /has 1000 bytes, expected .*: delete it/);
      const failing = join(out, 'failing');
      await writeFile(failing, '#!/bin/sh\nexit 3\n', { mode: 0o755 });
      await assert.rejects(allReferences(lengths, failing, surroundingsIn(out, 1)), /failing ended with code 3/);
    }));

  it('counts queries until a loss is reached', () => {
    const curve = [
      { x: 0, y: 4 },
      { x: 10, y: 2 },
      { x: 20, y: 3 },
      { x: 30, y: 1 },
    ];
    const needed = [5, 4, 3, 2, 1.5, 1, 0.5].map((loss) => queriesTo(loss, curve));
    assert.deepEqual(needed, [0, 0, 5, 10, 27.5, 30, undefined]);
    assert.equal(queriesTo(1, undefined), undefined);
  });

  it('refuses trajectories that are shorter than a rollout, and more rollouts than they hold', () =>
    withFolder(async (folder) => {
      const short = ['experiment', 'fig6', '--quick', '--frames', '4', '--out', join(folder, 'out')];
      await fails(short, 2, /Expected --frames to be at least 6, the steps of a rollout and two more, received 4/);
      const many = ['experiment', 'fig6', '--quick', '--out', join(folder, 'out')];
      await fails(
        [...many, '--trajectories', '121'],
        2,
        /Expected --trajectories to be at most 120, the rollouts that the/,
      );
      await fails([...many, '--grasp-trajectories', '121'], 2, /Expected --grasp-trajectories to be at most 120/);
    }));
});
