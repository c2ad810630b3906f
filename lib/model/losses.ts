/**
 * The losses of models: built-in ones by name, which the native core computes, and losses of a network's outputs, which
 * JavaScript does.
 *
 * @module
 */
import type { Batch } from '../data/dataset.js';
import { givingTurns, untilAborted } from '../support/duration.js';
import { InvalidArgumentError, quote } from '../support/errors.js';
import { checked, expected, isObject, leaf, string } from '../support/schema.js';
import type { Leaf } from '../support/schema.js';

export const LOSSES = ['cross-entropy', 'mean-squared-error', 'mean-absolute-error'] as const;
/**
 * A built-in loss: a mean over the batch; of squared and absolute errors also over the outputs.
 *
 * @useDeclaredType
 */
export type LossName = (typeof LOSSES)[number];

/** What a loss is told beside the outputs and their batch. */
export interface OutputsContext {
  /** Aborts when nobody waits for the losses any more. */
  readonly signal: AbortSignal;
  /** Whether the outputs are those of training: batch norm used the batch's statistics. */
  readonly training: boolean;
  /** The training step that the losses are for; undefined outside a run. */
  readonly step: number | undefined;
}

/**
 * A loss of a network's outputs that is computed in JavaScript, or wherever that asks: an option of `Model`. It must be a pure
 * function of outputs and batch for results to be reproducible.
 */
export interface OutputsLoss {
  /** Stands for the loss in weights files and checkpoints: a run resumes only with an equal name. Not one of a built-in loss. */
  readonly name: string;
  /**
   * The losses of many queries on one batch, a number for each entry of `outputs`, in their order.
   *
   * @param outputs For each query a row of `compiled.outputs` numbers for every image, in the order of `batch.images`.
   * @param batch The batch itself, whatever it has beside images: `labels`, `targets` and a custom data set's more.
   */
  losses(
    outputs: readonly Float64Array[],
    batch: Batch,
    context: OutputsContext,
  ): ArrayLike<number> | Promise<ArrayLike<number>>;
}

/** The loss of one query: a row of outputs for every image, and their batch. */
export type OutputsFunction = (
  outputs: Float64Array,
  batch: Batch,
  context: OutputsContext,
) => number | Promise<number>;

/** The loss of rollouts, made by `rollout`: of a network that acts on a simulator, which shows it the consequences. */
export interface RolloutLoss {
  /** Stands for the loss in weights files and checkpoints. */
  readonly name: string;
  /** The path of the simulator's shared object. */
  readonly simulator: string;
  /** The text that the simulator is made from. */
  readonly config: string;
  /** Steps of a rollout. */
  readonly steps: number;
  /** An error to the targets, or the simulator's loss. */
  readonly loss: RolloutError;
  /** The simulator's: how many numbers its arrays have for a trajectory. */
  readonly sizes: SimulatorSizes;
}

/** How many numbers a simulator's arrays have for a trajectory; maps are channels, rows and columns. */
export interface SimulatorSizes {
  /** Of a trajectory, constant over its steps. */
  readonly parameters: number;
  /** Of the state that a step changes. */
  readonly state: number;
  /** What the network reads. */
  readonly observation: readonly [number, number, number];
  /** What the network answers. */
  readonly output: readonly [number, number, number];
  /** Of a step. */
  readonly values: number;
  /** Whether the simulator has a loss of its own. */
  readonly hasLoss: boolean;
}

export const ROLLOUT_ERRORS = ['mean-squared-error', 'mean-absolute-error', 'simulator'] as const;
/**
 * What a rollout's loss is: an error of the values of all steps, or what the simulator says.
 *
 * @useDeclaredType
 */
export type RolloutError = (typeof ROLLOUT_ERRORS)[number];

/** The loss of a model: built-in by name, of its outputs, or of rollouts. */
export type ModelLoss = LossName | OutputsLoss | RolloutLoss;

/**
 * A function as the loss of a model, ℓ(θ) = loss(outputs(θ), batch): for outputs that go on to a simulator, a service or anything
 * else without a derivative. The network runs natively, with masks, reuse and all threads, and its outputs arrive in double
 * precision. Two losses are subtracted for a difference, so the digits of ℓ below 1e-16·ℓ/μ are lost. The function is called for one query at
 * a time, other work of the process having a turn every 20 ms; `OutputsLoss` is for many at once.
 *
 * @param name Stands for the function in weights files and checkpoints; not one of a built-in loss.
 * @throws InvalidArgumentError if the name is empty or a built-in loss's, or `loss` is no function.
 * @example
 * const hinge = outputsLoss('hinge', (outputs, { labels, count }) => {
 *   const width = outputs.length / count;
 *   let sum = 0;
 *   outputs.forEach((score, i) => {
 *     const row = Math.floor(i / width);
 *     const label = labels![row];
 *     if (i % width !== label) sum += Math.max(0, 1 + score - outputs[row * width + label]);
 *   });
 *   return sum / count;
 * });
 * const model = new Model(network, { loss: hinge });
 */
export function outputsLoss(name: string, loss: OutputsFunction): OutputsLoss {
  if (typeof loss !== 'function') throw expected('loss', 'a function of outputs and batch', loss);
  return {
    name: checkName(name, 'name'),
    async losses(outputs, batch, context) {
      const losses: number[] = [];
      const turn = givingTurns();
      for (const one of outputs) {
        const found = loss(one, batch, context);
        losses.push(typeof found === 'number' ? found : await found);
        await turn();
        context.signal.throwIfAborted();
      }
      return losses;
    },
  };
}

/** The loss as an option. */
export const modelLoss: Leaf<ModelLoss> = leaf(
  'other',
  `one of ${LOSSES.join(', ')}, a loss of outputs, from outputsLoss(…), or of rollouts, from rollout(…)`,
  (value) => LOSSES.includes(value as LossName) || (isObject(value) && (!isOfRollouts(value) || isFromRollout(value))),
  { choices: LOSSES },
);

/** Whether a loss is computed in JavaScript. */
export function isOutputsLoss(loss: ModelLoss): loss is OutputsLoss {
  return typeof loss !== 'string' && !isRolloutLoss(loss);
}

/** Whether a loss is one of rollouts. */
export function isRolloutLoss(loss: ModelLoss): loss is RolloutLoss {
  return typeof loss !== 'string' && isOfRollouts(loss);
}

function isOfRollouts(loss: object): boolean {
  return 'simulator' in loss && !('losses' in loss);
}

/** Whether a loss has all that those of `rollout` have, and not only its options. */
function isFromRollout({ name, simulator, config, steps, sizes }: Record<string, unknown>): boolean {
  const texts = [name, simulator, config].every((value) => typeof value === 'string');
  return texts && Number.isSafeInteger(steps) && isObject(sizes);
}

/** Refuses an object that is no loss of outputs. */
export function checkOutputsLoss(loss: OutputsLoss): void {
  checkName(loss.name, 'loss.name');
  const { losses } = loss as { losses: unknown };
  if (typeof losses !== 'function') throw expected('loss.losses', 'a function, as that of outputsLoss(…)', losses);
}

function checkName(name: string, what: string): string {
  checked(string, name, what);
  if (LOSSES.includes(name as LossName)) throw expected(what, 'another name than those of the built-in losses', name);
  return name;
}

/** What stands for a loss in a file. */
export function nameOfLoss(loss: ModelLoss): string {
  return typeof loss === 'string' ? loss : loss.name;
}

/** Refuses what only a built-in loss has; `what` says it in a sentence: `Back-propagation`. */
export function requireBuiltIn(loss: ModelLoss, what: string): asserts loss is LossName {
  if (typeof loss === 'string') return;
  const kind = isRolloutLoss(loss) ? 'rollouts' : 'outputs';
  throw new InvalidArgumentError(
    `${what} requires a built-in loss, ${LOSSES.join(', ')}: ${quote(loss.name)} is a loss of ${kind}`,
  );
}

/** The losses of outputs, finite or not. Rejects with the signal's reason if that aborts first. */
export async function lossesOf(
  loss: OutputsLoss,
  outputs: readonly Float64Array[],
  batch: Batch,
  context: OutputsContext,
): Promise<ArrayLike<number>> {
  context.signal.throwIfAborted();
  const losses = await untilAborted(Promise.resolve(loss.losses(outputs, batch, context)), context.signal);
  const result = `the result of the loss ${quote(loss.name)}`;
  const { length } = Object(losses) as Partial<ArrayLike<unknown>>;
  if (typeof losses !== 'object' || length !== outputs.length) {
    throw expected(result, `a list of ${outputs.length} numbers`, losses);
  }
  for (let i = 0; i < outputs.length; i++) {
    const found: unknown = losses[i];
    if (typeof found === 'number') continue;
    throw expected(`number ${i} of ${result}`, 'a number', found);
  }
  return losses;
}
