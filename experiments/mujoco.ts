/**
 * Linear policies for Swimmer and HalfCheetah by zeroth order: augmented random search V2 (Mania, Guy & Recht, NeurIPS 2018), RGE and CGE, at
 * equally many episodes. All three see whitened states.
 *
 * @module
 */
import { join } from 'node:path';

import type { Box, Estimator, Optimizer } from 'deepzero';
import { adam, ars, cge, describeMachine, minimize, rge, RunFolder, sgd } from 'deepzero';
import * as v from 'valibot';

import type { Walker, WalkerName } from '../examples/walkers.js';
import { walker } from '../examples/walkers.js';
import { expected } from '../bench/support/options.js';
import type { Series } from '../bench/support/plot.js';
import { mean, median } from '../bench/support/statistics.js';
import { cached } from './support/cache.js';
import { Episodes } from './support/episodes.js';
import { joinMachines } from './support/machines.js';
import type { Publish, Report, ReportRow, Surroundings } from './support/report.js';
import { rounded } from './support/report.js';
import { Whitening } from './support/whitening.js';

export const MUJOCO_METHODS = ['ars', 'rge', 'cge'] as const;
export type MujocoMethod = (typeof MUJOCO_METHODS)[number];

export interface MujocoOptions {
  readonly robots: readonly WalkerName[];
  readonly methods: readonly MujocoMethod[];
  readonly seeds: readonly number[];
  /** Episodes of a run. */
  readonly rollouts: number;
  /** Episodes of the runs that choose each rate. */
  readonly searchRollouts: number;
  /** Actions of an episode. */
  readonly actions: number;
}

/** How far a query is from θ, and how far a step goes. */
interface Reach {
  readonly mu: number;
  readonly rate: number;
}

interface Method {
  readonly name: string;
  /** For so many parameters. */
  readonly estimator: (mu: number, parameters: number) => Estimator;
  readonly optimizer: (rate: number) => Optimizer;
}

/** Those that the search tries; the first is the source's for HalfCheetah. */
const REACHES: readonly Reach[] = [
  { mu: 0.03, rate: 0.02 },
  { mu: 0.03, rate: 0.05 },
  { mu: 0.1, rate: 0.1 },
];
const DIRECTIONS = 4;
/** Of the runs that choose a reach. */
const SEARCH_SEED = 1000;
/** Episodes that measure a run's last policy, from initial states that no run sees. */
const HELD_OUT = 10;

const METHODS: Readonly<Record<MujocoMethod, Method>> = {
  ars: {
    name: 'ARS V2',
    estimator: (mu) => ars({ directions: DIRECTIONS, mu }),
    optimizer: (rate) => sgd({ lr: rate }),
  },
  rge: {
    name: 'RGE',
    estimator: (mu) => rge({ queries: DIRECTIONS, mu, central: true }),
    optimizer: (rate) => adam({ lr: rate }),
  },
  cge: {
    name: 'CGE',
    // As far from θ as the others' queries, whose directions have a length of about √d.
    estimator: (mu, parameters) => cge({ mu: mu * Math.sqrt(parameters) }),
    optimizer: (rate) => adam({ lr: rate }),
  },
};

const finite = v.pipe(v.number(), v.finite());
const runSchema = v.strictObject({
  /** The reward of each step's policy before its update, and the run's episodes before the step. */
  curve: v.array(v.strictObject({ rollouts: finite, reward: finite })),
  /** Mean reward of the last policy on held-out initial states. */
  reward: finite,
  rollouts: finite,
  failed: finite,
  machine: v.string(),
});
type RunResult = v.InferOutput<typeof runSchema>;

/** Numbers of a state and of an action. */
type Size = Pick<Walker, 'states' | 'actions'>;

interface Run extends Reach {
  readonly robot: WalkerName;
  readonly method: MujocoMethod;
  readonly rollouts: number;
  readonly actions: number;
  readonly seed: number;
}

/** Minimises minus the reward, from the policy that does nothing; continued where it stopped. */
async function makeRun(
  run: Run,
  { states, actions: outputs }: Size,
  episodes: Episodes,
  surroundings: Surroundings,
): Promise<RunResult> {
  const { robot, method, mu, rate, rollouts, actions, seed } = run;
  const { out, signal, threads } = surroundings;
  const key = `${robot}-${method}-mu${mu}-rate${rate}-${rollouts}x${actions}-seed${seed}`;
  await using folder = await RunFolder.open(join(out, key));
  const [estimator, optimizer] = [METHODS[method].estimator(mu, states * outputs), METHODS[method].optimizer(rate)];
  const options = { ...run, estimator: estimator.config, optimizer: optimizer.config };
  return await cached({ path: join(folder.path, 'result.json'), schema: runSchema }, options, async () => {
    const whitening = new Whitening(join(folder.path, 'states.jsonl'), states);
    const play = async (policy: Float64Array, start: string, step: number) => {
      const view = whitening.at(step);
      return await episodes.play({ policy, seed: start, actions, ...(view && { view }) });
    };
    const box: Box = {
      parallel: threads,
      async answer([query]) {
        const { id, step } = query!;
        const { reward, ...sums } = await play(query!.point(), `${seed}.${step}`, step);
        whitening.add(id, sums);
        return [-reward];
      },
    };
    const curve: { rollouts: number; reward: number }[] = [];
    let [last, before]: [Float64Array, number] = [new Float64Array(states * outputs), 0];
    const { evaluations, failed, stopped, message } = await minimize(box, last, {
      ...{ estimator, optimizer, seed, signal },
      budget: { evaluations: rollouts },
      journal: join(folder.path, 'journal.jsonl'),
      onStep: ({ x, loss, evaluations: done }) => {
        curve.push({ rollouts: before, reward: -loss });
        [last, before] = [x, done];
        surroundings.onStatus(`${key}: ${done} of ${rollouts} episodes, reward ${(-loss).toFixed(1)}`);
      },
    });
    signal.throwIfAborted();
    if (stopped !== 'budget') throw new Error(`${key}: ${message}`);
    const heldOut = Array.from({ length: HELD_OUT }, (_, i) => play(last, `held out ${i}`, Infinity));
    const reward = mean((await Promise.all(heldOut)).map((episode) => episode.reward));
    return { curve, reward, rollouts: evaluations, failed, machine: describeMachine({ threads }) };
  });
}

export async function mujoco(choice: MujocoOptions, surroundings: Surroundings, publish: Publish): Promise<Report> {
  const done = new Map<string, Made>();
  const sizes = new Map<WalkerName, Size>();
  for (const robot of choice.robots) sizes.set(robot, await walker(robot));
  for (const [robot, size] of sizes) checkBudgets(choice, robot, size);
  for (const [robot, size] of sizes) {
    await using episodes = new Episodes(robot, surroundings.threads);
    for (const method of choice.methods) {
      const make = async (reach: Reach, rollouts: number, seed: number): Promise<RunResult> => {
        const run = { robot, method, ...reach, rollouts, actions: choice.actions, seed };
        const result = await makeRun(run, size, episodes, surroundings);
        const { mu, rate } = reach;
        surroundings.onNote(
          `${robot}, ${method}, μ ${mu}, rate ${rate}, seed ${seed}: reward ${result.reward.toFixed(1)}`,
        );
        return result;
      };
      const search = await searchReach((reach) => make(reach, choice.searchRollouts, SEARCH_SEED));
      const results: RunResult[] = [];
      for (const seed of choice.seeds) {
        results.push(await make(search.reach, choice.rollouts, seed));
        done.set(`${robot} ${method}`, { robot, method, search, results: [...results] });
        await publish(reportOf(choice, [...done.values()]));
      }
    }
  }
  return reportOf(choice, [...done.values()]);
}

/** The reach that a search chose, and the reward of each. */
interface Search {
  readonly reach: Reach;
  readonly tried: readonly (Reach & { readonly reward: number })[];
}

interface Made {
  readonly robot: WalkerName;
  readonly method: MujocoMethod;
  readonly search: Search;
  readonly results: readonly RunResult[];
}

/** Chooses the reach whose run ends with the greatest reward. */
async function searchReach(make: (reach: Reach) => Promise<RunResult>): Promise<Search> {
  const tried: (Reach & { reward: number })[] = [];
  for (const reach of REACHES) tried.push({ ...reach, reward: (await make(reach)).reward });
  const { mu, rate } = tried.reduce((best, other) => (other.reward > best.reward ? other : best));
  return { reach: { mu, rate }, tried };
}

/** Refuses budgets that hold no step. */
function checkBudgets({ methods, rollouts, searchRollouts }: MujocoOptions, robot: WalkerName, size: Size): void {
  for (const method of methods) {
    const perStep = method === 'cge' ? 1 + size.states * size.actions : 1 + 2 * DIRECTIONS;
    const limit = `at least ${perStep + 1}, a step of ${METHODS[method].name} for ${robot} and its end`;
    if (rollouts <= perStep) throw expected('--rollouts', limit, rollouts);
    if (searchRollouts <= perStep) throw expected('--search-rollouts', limit, searchRollouts);
  }
}

/** The value at a fraction of the sorted ones, between neighbours linearly. */
function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = fraction * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (at - Math.floor(at)) * (high - low);
}

function reportOf(choice: MujocoOptions, made: readonly Made[]): Report {
  const { seeds, rollouts, searchRollouts, actions } = choice;
  const rows = made.map(({ robot, method, search, results }): ReportRow => {
    const rewards = results.map(({ reward }) => reward);
    return {
      robot,
      method: METHODS[method].name,
      reward: rounded(median(rewards), 4),
      lowerQuartile: rounded(quantile(rewards, 0.25), 4),
      upperQuartile: rounded(quantile(rewards, 0.75), 4),
      runs: results.length,
      rollouts: median(results.map((result) => result.rollouts)),
      steps: median(results.map(({ curve }) => curve.length)),
      ...search.reach,
      machine: joinMachines(results.map(({ machine }) => machine)),
    };
  });
  const series = made.map(({ robot, method, results }, colour): Series => {
    const steps = Math.min(...results.map(({ curve }) => curve.length));
    const points = Array.from({ length: steps }, (_, step) => {
      const rewards = results.map(({ curve }) => curve[step]!.reward);
      const x = results[0]!.curve[step]!.rollouts;
      return { x, y: median(rewards), low: quantile(rewards, 0.25), high: quantile(rewards, 0.75) };
    });
    return { name: `${METHODS[method].name}, ${robot}`, colour, points };
  });
  return {
    title: `Reward of linear policies after ${rollouts} episodes of ${actions} actions`,
    published: "of the -v1 robots, in Mania et al.; not comparable with Gymnasium's -v5",
    settings: {
      ...{ seeds, rollouts, searchRollouts, actions, directions: DIRECTIONS, heldOut: HELD_OUT },
      search: made.map(({ robot, method, search }) => ({ robot, method, tried: search.tried })),
    },
    rows,
    plot: {
      title: `Reward against episodes: medians and quartiles of ${seeds.length} seeds`,
      x: { label: 'episodes' },
      y: { label: 'reward of an episode' },
      series,
    },
  };
}
