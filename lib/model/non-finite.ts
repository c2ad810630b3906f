import type { Coordinate } from '../network/coordinates.js';

/**
 * A loss was NaN or infinite, so there is no estimate; or a step would have made a parameter NaN or infinite. Parameters and
 * optimizer state are those after the last finished step.
 */
export class NonFiniteLossError extends Error {
  /** Stable, for programs. */
  readonly code = 'DEEPZERO_NON_FINITE_LOSS';
  /** The class. */
  override readonly name = 'NonFiniteLossError';
  /** The training step, from 0; null outside a run. */
  readonly step: number | null;
  /**
   * The coordinate that was perturbed, or that was already not finite; null for the unperturbed loss, a random direction or a
   * step's update, whose message names the parameter.
   */
  readonly coordinate: Coordinate | null;

  constructor(problem: string, step: number | null, coordinate: Coordinate | null) {
    const at = step === null ? '' : `At step ${step}: `;
    super(`${at}expected a finite loss, but ${problem}`.replace(/^e/, 'E'));
    this.step = step;
    this.coordinate = coordinate;
  }
}
