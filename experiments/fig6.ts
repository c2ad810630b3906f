/**
 * Figure 6 of DeepZero's poster: a network that corrects a coarse flow solver, trained through the solver. The setting is that of Um et al.
 * (NeurIPS 2020, Solver-in-the-Loop, karman-2d), with a small network. Every method that trains through the solver starts
 * from NON's weights.
 *
 * @module
 */
import { expected } from '../bench/support/options.js';
import { buildWake } from '../bench/support/wake.js';
import { mean } from '../bench/support/statistics.js';
import { rolledOut } from './fig6/errors.js';
import type { MethodRuns } from './fig6/figures.js';
import { reportOf } from './fig6/figures.js';
import type { Fig6Method, Fig6Options } from './fig6/methods.js';
import { METHODS } from './fig6/methods.js';
import { picturesSvg } from './fig6/pictures.js';
import type { References } from './fig6/references.js';
import { allReferences, REYNOLDS } from './fig6/references.js';
import type { Fig6Run } from './fig6/run.js';
import { Trainer } from './fig6/run.js';
import { Setting } from './fig6/setting.js';
import { deviationsOf } from './fig6/windows.js';
import type { Publish, Report, Surroundings } from './support/report.js';

/** The case of the pictures: of the middle Reynolds number. */
const PICTURED = 2;

export async function fig6(choice: Fig6Options, surroundings: Surroundings, publish: Publish): Promise<Report> {
  checkChoice(choice);
  const { data, simulator } = buildWake();
  const parts = await allReferences(choice, data, surroundings);
  const setting = new Setting(simulator, deviationsOf(parts.training), surroundings.threads);
  const trainer = new Trainer(choice, setting, parts, surroundings);
  const source = await trainer.source();
  const runs = new Map<Fig6Method, Fig6Run[]>();
  let [report, made]: [Report | undefined, MethodRuns[]] = [undefined, []];
  const methods = choice.methods.filter((method) => method !== 'non');
  for (const seed of choice.seeds) {
    const non = await trainer.run('non', seed);
    for (const method of ['non', ...methods] as const) {
      const run = method === 'non' ? non : await trainer.run(method, seed, non.weights);
      runs.set(method, [...(runs.get(method) ?? []), run]);
      const error = mean(run.errors.velocity);
      const part = (error / mean(source.errors.velocity)).toFixed(3);
      surroundings.onNote(`${METHODS[method].name}, seed ${seed}: error ${error.toFixed(4)}, ${part} of the source's`);
      made = [...runs].map(([name, own]) => ({ method: name, runs: own }));
      report = reportOf(choice, source, made);
      await publish(report);
    }
  }
  return { ...report!, pictures: { ...report!.pictures, vorticity: await vorticityOf(setting, parts.test, made) } };
}

/** Refuses what a later run would, before the first. */
function checkChoice({ frames, unroll, trajectories, graspTrajectories }: Fig6Options): void {
  const least = unroll + 2;
  if (frames < least) throw expected('--frames', `at least ${least}, the steps of a rollout and two more`, frames);
  const windows = REYNOLDS.training.length * (frames - unroll);
  for (const [option, given] of [
    ['--trajectories', trajectories],
    ['--grasp-trajectories', graspTrajectories],
  ] as const) {
    if (given > windows) throw expected(option, `at most ${windows}, the rollouts that the frames hold`, given);
  }
}

/** Reference, source and corrected wakes of one case, by the first seed. */
async function vorticityOf(setting: Setting, test: References, made: readonly MethodRuns[]): Promise<string> {
  const steps = test.frames - 1;
  const times = [0.2, 0.5, 1].map((part) => Math.max(1, Math.round(part * steps)));
  const ways = [
    { name: 'SRC', weights: setting.none() },
    ...made.map(({ method, runs }) => ({ name: METHODS[method].name, weights: Float32Array.from(runs[0]!.weights) })),
  ];
  const rows = [{ name: 'reference', velocities: times.map((time) => test.frame(PICTURED, time)) }];
  for (const { name, weights } of ways) {
    const states = (await rolledOut(setting, weights, test))[PICTURED]!;
    rows.push({ name, velocities: times.map((time) => states[time - 1]!) });
  }
  const title = `Vorticity at the Reynolds number ${test.reynolds[PICTURED]!}, which no run was trained on`;
  return picturesSvg({ title, columns: times.map((time) => `step ${time}`), rows });
}
