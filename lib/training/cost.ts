/**
 * The time of a training step, predicted from samples of it.
 *
 * @module
 */
import type { Model } from '../model/model.js';
import { countIn } from './record/mask.js';

/** The predicted cost of the steps that a run has left. */
export interface TrainCost {
  /** Loss evaluations per step. */
  queriesPerStep: number;
  /** Predicted from a timed sample of the next step. */
  secondsPerStep: number;
  /** The part of it that is not queries, mostly the unperturbed pass. */
  secondsOnce: number;
  /** Of a query, on one thread. */
  secondsPerQuery: number;
  /** Steps left. */
  steps: number;
  /** For all of them. */
  hours: number;
  /**
   * The same on other numbers of ranks, each with as many threads on a processor of its own of this kind, by a model; see `onRanks`. Empty
   * for a loss of outputs, which rank 0 computes, and for an estimator whose queries ranks do not share.
   */
  ranks: readonly RanksCost[];
}

/** What a step costs on so many ranks. */
export interface RanksCost {
  /** The number of ranks. */
  ranks: number;
  /** For a step. */
  secondsPerStep: number;
  /** For all steps. */
  hours: number;
  /** The time on one rank over that on all of them together. */
  efficiency: number;
}

/** A step's time, and what it consists of. */
export type StepTime = Pick<TrainCost, 'secondsPerStep' | 'secondsOnce' | 'secondsPerQuery'>;

/** Queries, at least, of the first sample that counts: enough to have some in every layer. */
const PROBE = 64;
/** At least this many for each thread, so that the time of a query can be measured. */
const PROBE_OF_THREAD = 8;

/**
 * Predicts the seconds of a step of `queriesPerStep` queries.
 *
 * @param sample Makes an estimate of at most `limit` queries, and returns their number.
 * @param threads Of all ranks.
 * @param now The time in milliseconds.
 */
export async function timeStep(
  sample: (limit: number) => Promise<number>,
  queriesPerStep: number,
  threads: number,
  now = (): number => performance.now(),
): Promise<StepTime> {
  const time = async (limit: number): Promise<{ queries: number; seconds: number }> => {
    const begun = now();
    const queries = await sample(limit);
    return { queries, seconds: (now() - begun) / 1000 };
  };
  // In samples of whole rounds every thread has as many queries as in a long step.
  const rounds = (queries: number): number => 1 + threads * Math.ceil(queries / threads);
  // The first also allocates the buffers and shuffles the epoch.
  await time(rounds(1));
  const least = await time(rounds(1));
  let most = await time(rounds(Math.max(PROBE, PROBE_OF_THREAD * threads)));
  if (most.seconds < 1 && most.queries < queriesPerStep) most = await time(rounds((1.5 * most.queries) / most.seconds));
  const more = most.queries - least.queries;
  // A step may have no more queries than the least sample, and on a busy machine the larger sample may take less time: then its time is
  // divided by its queries.
  const between = more > 0 ? (most.seconds - least.seconds) / more : 0;
  const each = between > 0 ? between : most.seconds / most.queries;
  const rest = between > 0 ? least.seconds - each * least.queries : 0;
  const secondsPerStep = most.queries >= queriesPerStep ? most.seconds : rest + each * queriesPerStep;
  return { secondsPerStep, secondsOnce: Math.max(0, rest), secondsPerQuery: each * threads };
}

/**
 * How much of a step's time its first queries take: those of expensive tensors come first.
 *
 * @param mask The coordinates of a step, increasing; absent where all queries cost the same.
 * @returns The fraction of the step's time, given the fraction of its queries.
 */
export async function timeShares(model: Model, mask: Uint32Array | undefined): Promise<(queries: number) => number> {
  if (!mask || !model.carriesChanges) return (queries) => queries;
  const parts = await Promise.all(
    model.tensors.map(async ({ offset, size }) => {
      const count = countIn(mask, offset, size);
      return { count, work: (await model.cost(Uint32Array.of(offset))).incremental.done };
    }),
  );
  const inOrder = parts.filter(({ count }) => count > 0).sort((a, b) => b.work - a.work);
  const all = inOrder.reduce((sum, { count, work }) => sum + count * work, 0);
  return (queries) => {
    let [left, done] = [queries * mask.length, 0];
    for (const { count, work } of inOrder) {
      done += Math.min(left, count) * work;
      left -= Math.min(left, count);
    }
    return all > 0 ? done / all : queries;
  };
}
