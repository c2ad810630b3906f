/**
 * The time of a training step on other numbers of ranks, by a model.
 *
 * @module
 */
import type { EstimatePosition, Estimator } from '../estimators/estimator.js';
import { isOutputsLoss, isRolloutLoss } from '../model/losses.js';
import type { Model } from '../model/model.js';
import { REUSES } from '../model/options.js';
import { itemShape } from '../model/problem.js';
import type { RanksCost, StepTime } from './cost.js';
import type { TrainPlan } from './options.js';
import { countIn } from './record/mask.js';

/** Seconds that a message to all ranks takes for every doubling of their number, and bytes that arrive in a second. */
const [PER_DOUBLING, BYTES_PER_SECOND] = [5e-5, 1e9];
/** Messages of a step: a command, its content, the ranks' results, and the word that it is over. */
const MESSAGES = 4;
const SHOWN = [1, 4, 16, 64, 256, 1024, 4096];

/**
 * A step's time on R ranks of T threads, by t = once + max(⌈q/RT⌉·mean, dearest) + 4·50 µs·log₂R + bytes/(1 GB/s): the unperturbed
 * pass, which every rank makes; the queries of the busiest thread, at least the dearest one; and messages as measured between
 * processes of one machine.
 *
 * @param dearest What the dearest query costs over the mean one, >= 1.
 * @param bytes What a step sends.
 */
export function onRanks(
  { secondsOnce, secondsPerQuery }: StepTime,
  step: { readonly queries: number; readonly threads: number; readonly dearest: number; readonly bytes: number },
  steps: number,
): RanksCost[] {
  const secondsOn = (ranks: number): number => {
    const busiest = Math.max(Math.ceil(step.queries / (ranks * step.threads)), step.dearest) * secondsPerQuery;
    const messages = ranks === 1 ? 0 : MESSAGES * PER_DOUBLING * Math.log2(ranks) + step.bytes / BYTES_PER_SECOND;
    return secondsOnce + busiest + messages;
  };
  const alone = secondsOn(1);
  return SHOWN.map((ranks) => {
    const secondsPerStep = secondsOn(ranks);
    const efficiency = alone / (ranks * secondsPerStep);
    return { ranks, secondsPerStep, hours: (steps * secondsPerStep) / 3600, efficiency };
  });
}

/** Rollouts that a thread makes side by side. */
const LANES = 16;

/** A run's cost on other numbers of ranks; empty for an estimator or a loss whose queries ranks do not share. */
export async function ranksCost(
  model: Model,
  { estimator, queriesPerStep, batchSize }: TrainPlan,
  position: EstimatePosition,
  time: StepTime,
  steps: number,
): Promise<RanksCost[]> {
  if (queriesPerStep === 1 || estimator.optimizer || isOutputsLoss(model.loss)) return [];
  const { parameterCount } = model.compiled;
  const mask = estimator.coordinates?.(model, position);
  const queried = mask?.length ?? parameterCount;
  const bytes = 4 * (parameterCount + queried + batchSize * itemShape(model).reduce((a, b) => a * b)) + 8 * queried;
  const dearest = isRolloutLoss(model.loss) ? Math.max(1, LANES / batchSize) : await dearestOf(model, mask, estimator);
  return onRanks(time, { queries: queriesPerStep, threads: model.threads, dearest, bytes }, steps);
}

/** What the dearest of a mask's coordinates, whose queries one thread makes, costs over the mean query. Directions cost the same. */
export async function dearestOf(
  model: Model,
  mask: Uint32Array | undefined,
  estimator: Pick<Estimator, 'config'>,
): Promise<number> {
  if (!mask) return 1;
  // A custom estimator need not say these.
  const config = estimator.config as Record<string, unknown>;
  const reuse = REUSES.find((one) => one === config['reuse']) ?? 'incremental';
  const costOf = async (coordinates: Uint32Array): Promise<number> => (await model.cost(coordinates))[reuse].done;
  const queried = model.tensors.filter(({ offset, size }) => countIn(mask, offset, size) > 0);
  const each = await Promise.all(queried.map(({ offset }) => costOf(Uint32Array.of(offset))));
  return ((config['central'] === true ? 2 : 1) * Math.max(...each) * mask.length) / (await costOf(mask));
}
