/**
 * How many evaluations estimators need to reach a value, over seeds.
 *
 * @module
 */
import type { Estimator, LossFunction, Optimizer } from 'deepzero';
import { adam, ars, cge, cosine, minimize, patternSearch, rge, sgd, suggestMu } from 'deepzero';

import { normals } from '../support/random.js';
import type { Session } from '../support/sampling.js';
import type { Problem } from './problems.js';
import { answerOf } from './problems.js';

/** An estimator and its optimizer, the same for all functions. */
interface Method {
  readonly name: string;
  /** In words. */
  readonly setting: string;
  /** Of the estimator's directions, where μ is suggested by `suggestMu`. */
  readonly directions?: 'sphere' | 'gaussian';
  readonly parts: (mu: number) => { estimator: Estimator; optimizer: Optimizer };
}

/** A learning rate that falls by half a cosine from a peak to 0 at the end of the budget. */
const falling = (peak: number) => ({ lr: cosine({ peak }) });

export const METHODS: readonly Method[] = [
  {
    name: 'cge',
    setting: 'central, adam with a cosine from 0.1, mu by suggestMu',
    directions: 'sphere',
    parts: (mu) => ({ estimator: cge({ mu, central: true }), optimizer: adam(falling(0.1)) }),
  },
  {
    name: 'rge',
    setting: 'central, 4 directions, adam with a cosine from 0.1, mu by suggestMu',
    directions: 'gaussian',
    parts: (mu) => ({ estimator: rge({ mu, queries: 4, central: true }), optimizer: adam(falling(0.1)) }),
  },
  {
    name: 'ars',
    setting: '8 directions, the best 4, mu 0.03, sgd with a cosine from 0.03',
    parts: () => ({ estimator: ars({ directions: 8, top: 4, mu: 0.03 }), optimizer: sgd(falling(0.03)) }),
  },
  {
    name: 'pattern-search',
    setting: 'radius from 1, times 0.98 a step of 20 trials',
    parts: () => ({ estimator: patternSearch({ radius: 1, decay: 0.98, queries: 20 }), optimizer: sgd({ lr: 1 }) }),
  },
];

export interface RaceRow {
  problem: string;
  dimension: number;
  goal: string;
  repeats: number;
  method: string;
  setting: string;
  budget: number;
  seeds: number;
  /** The seeds of which the value was reached. */
  reached: number;
  /** Evaluations until it was, by seed, those of `suggestMu` included; null where it was not. */
  evaluations: (number | null)[];
  /** Of these the first quartile, the median and the third; null where it is among those that did not reach it. */
  low: number | null;
  median: number | null;
  high: number | null;
}

export interface RaceOptions {
  readonly problems: readonly Problem[];
  readonly methods: readonly Method[];
  /** How many, and the first. */
  readonly seeds: number;
  readonly seed: number;
}

export async function race(
  { problems, methods, seeds, seed }: RaceOptions,
  { signal, onStatus }: Pick<Session, 'signal' | 'onStatus'>,
): Promise<RaceRow[]> {
  const rows: RaceRow[] = [];
  for (const problem of problems) {
    for (const method of methods) {
      const evaluations: number[] = [];
      for (let at = seed; at < seed + seeds; at++) {
        onStatus?.(`${problem.name}, ${method.name}, seed ${at}`);
        evaluations.push(await evaluationsNeeded(problem, method, at, signal));
      }
      const { name, dimension, goal, repeats, budget } = problem;
      rows.push({
        ...{ problem: name, dimension, goal, repeats, method: method.name, setting: method.setting, budget, seeds },
        reached: evaluations.filter(Number.isFinite).length,
        evaluations: evaluations.map(finiteOrNull),
        ...quartiles(evaluations),
      });
    }
  }
  return rows;
}

const finiteOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** The quartiles of a sample; those between two numbers are their mean, which is infinite if one of them is. */
export function quartiles(sample: readonly number[]): Pick<RaceRow, 'low' | 'median' | 'high'> {
  const sorted = sample.toSorted((a, b) => a - b);
  const at = (fraction: number): number | null => {
    const place = fraction * (sorted.length - 1);
    const [below, above] = [sorted[Math.floor(place)]!, sorted[Math.ceil(place)]!];
    return finiteOrNull(below === above ? below : below + (place % 1) * (above - below));
  };
  return { low: at(0.25), median: at(0.5), high: at(0.75) };
}

/**
 * The evaluations until a step ends at a point whose value is at most the target, infinite if none does. The value is that without
 * noise, and is not counted.
 */
async function evaluationsNeeded(
  { value, noise, repeats, budget, instance }: Problem,
  { directions, parts }: Method,
  seed: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { start, target } = instance(seed);
  const normal = normals(seed + 1_000_000);
  const loss: LossFunction = (x) => answerOf(value(x) + (noise === 0 ? 0 : noise * normal()));
  const shared = { seed, repeats, signal };
  const suggested =
    directions && (await suggestMu(loss, start, { ...shared, central: true, distribution: directions }));
  const before = suggested?.evaluations ?? 0;
  let needed = Infinity;
  const reached = new AbortController();
  signal?.throwIfAborted();
  const stop = (): void => {
    reached.abort(signal?.reason);
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    await minimize(loss, start, {
      ...{ ...parts(suggested?.mu ?? NaN), seed, repeats },
      budget: { evaluations: budget - before },
      signal: reached.signal,
      onStep: ({ x, evaluations }) => {
        if (needed < Infinity || value(x) > target) return;
        needed = before + evaluations;
        reached.abort();
      },
    });
  } finally {
    signal?.removeEventListener('abort', stop);
  }
  signal?.throwIfAborted();
  return needed;
}
