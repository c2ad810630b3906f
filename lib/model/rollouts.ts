/**
 * Losses of rollouts: a network and a simulator act in turn, natively, for many trajectories and many perturbed networks at once.
 *
 * @module
 */
import { basename, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';

import type { NativeRolloutRequests, NativeRolloutResults, NativeRollouts } from '../native/addon.js';
import { native } from '../native/addon.js';
import { programOf } from '../network/compile.js';
import { digest } from '../support/digest.js';
import { escaped, inline, InvalidArgumentError, quote, show } from '../support/errors.js';
import { expectedOption, integer, leaf, oneOf, parseOptions } from '../support/schema.js';
import type { Setup } from './computations.js';
import { Computations } from './computations.js';
import type { RolloutLoss, SimulatorSizes } from './losses.js';
import { ROLLOUT_ERRORS } from './losses.js';

/** The folder of `deepzero_simulator.h`, for a compiler's `-I`. */
export const simulatorInclude: string = fileURLToPath(new URL('../../native/include', import.meta.url));

/** The longest config that a loss's name holds. */
const MOST_NAMED = 64;

const SIMULATOR = 'the path of a shared object, or a URL object of protocol file:';

/** Whether a value is a text that C can hold. */
function isText(value: unknown): value is string {
  return typeof value === 'string' && !value.includes('\0');
}

export const rolloutOptions = v.strictObject({
  /** The path of a shared object that implements `native/include/deepzero_simulator.h`, or its URL, an object of protocol file:. */
  simulator: leaf<string | URL>('other', SIMULATOR, (value) => (isText(value) ? value !== '' : value instanceof URL)),
  /** What the simulator is made with, any text that it understands. Default: ``, the empty text. */
  config: v.optional(leaf<string>('string', 'a text without the character NUL, which ends texts in C', isText), ''),
  /** Steps of a rollout, an integer from 1 to 2²⁰. */
  steps: integer(1, 2 ** 20),
  /**
   * `mean-squared-error` or `mean-absolute-error` of the values of all steps to the batch's targets; or `simulator`, its own loss, with
   * targets or without. Default: `mean-squared-error`.
   */
  loss: v.optional(oneOf(ROLLOUT_ERRORS), 'mean-squared-error'),
});
/** The options of `rollout`. */
export interface RolloutOptions extends v.InferInput<typeof rolloutOptions> {}

/**
 * The loss of rollouts, for the option `loss` of `Model`: for training a network through a simulator. From a state s₀, for n steps,
 *
 *     y = network(observe(s)),  s ← step(s, y),  values ← measure(s);      ℓ = error of all values to their targets
 *
 * or, with a simulator that corrects, s ← step(s), y = network(observe(s)), s ← correct(s, y). Simulators are shared objects with a C
 * interface, `native/include/deepzero_simulator.h`, which docs/guides/simulator.md explains.
 *
 * A batch's `images` have for each trajectory the simulator's parameters and then the first state, as a data set of shape
 * [parameters + state, 1, 1]; its `targets` have for each trajectory the values of all steps. `forward` and `predict` yield those values
 * as outputs.
 *
 * Everything is computed in double precision, so losses can be subtracted: the digits of ℓ below 1e-16·ℓ/μ are lost. Sixteen
 * rollouts, of any trajectories and queries, run side by side on a thread. A query that fails, because the simulator fails or a
 * value is not finite, is left out of the estimate, or replaced by the unperturbed loss with central differences; `failed` counts
 * them. If more than half fail, or the unperturbed loss, the call rejects. Options about feature reuse have no effect.
 *
 * The loss's name, which must be equal for a run to resume, holds the file's name, the steps, the kind of loss, and `config`, or its digest
 * where it is longer than 64 characters. The simulator's code is not compared: put a version of it into the file's name or `config`. A file
 * that has changed since the process loaded it is refused. Ranks share the rollouts of an estimate, if each finds the same file at the same
 * path; a rank that does not is named.
 *
 * @throws InvalidArgumentError if the shared object cannot be loaded, has changed or is no simulator, or an option is out of range or
 *   unknown.
 * @example
 * const loss = rollout({ simulator: './pendulum.so', steps: 100, loss: 'simulator' });
 * const model = new Model({ name: 'policy', input: [3, 1, 1], layers: [flatten(), linear({ features: 1 })] }, { loss });
 */
export function rollout(options: RolloutOptions): RolloutLoss {
  const { simulator, config, steps, loss } = parseOptions(rolloutOptions, options, 'rollout');
  const path = pathOf(simulator);
  const sizes = sizesOf(path, config);
  if (loss === 'simulator' && !sizes.hasLoss) {
    throw expectedOption(
      'loss',
      `mean-squared-error or mean-absolute-error, as ${inline(basename(path))} has none`,
      loss,
    );
  }
  const name = `${steps} steps of ${basename(path)}(${nameOfConfig(config)}), ${loss}`;
  return { name, simulator: path, config, steps, loss, sizes };
}

/** What stands for a config in the loss's name: a short one itself, so that the difference of two can be read. */
function nameOfConfig(config: string): string {
  if (config === '') return '';
  return config.length <= MOST_NAMED ? quote(config) : digest(new TextEncoder().encode(config));
}

/** The whole path: without a folder the system would look among its own libraries. */
function pathOf(simulator: string | URL): string {
  const isPath =
    typeof simulator === 'string' ? !/^[a-z][a-z\d+.-]*:\/\//i.test(simulator) : simulator.protocol === 'file:';
  if (!isPath) throw expectedOption('simulator', SIMULATOR, show(String(simulator)));
  return typeof simulator === 'string' ? resolve(simulator) : fileURLToPath(simulator);
}

function sizesOf(path: string, config: string): SimulatorSizes {
  return withSimulators(() => native.simulator(path, config));
}

/** Calls what may refuse a simulator, whose message may have lines. */
function withSimulators<T>(load: () => T): T {
  try {
    return load();
  } catch (cause) {
    if (cause instanceof TypeError && 'code' in cause) throw new InvalidArgumentError(escaped(cause.message));
    throw cause;
  }
}

/** The native computations of rollouts. */
export type RolloutComputations = Computations<NativeRolloutRequests, NativeRolloutResults, NativeRollouts>;

/** Those of a network with a loss of rollouts. */
export function rolloutComputations(setup: Setup, { simulator, config }: RolloutLoss): RolloutComputations {
  const { input } = setup.network;
  const { operations } = programOf(setup.network);
  return new Computations(
    setup,
    withSimulators(() => new native.Rollouts(input, operations, simulator, config)),
  );
}
