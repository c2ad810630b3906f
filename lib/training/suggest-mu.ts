import * as v from 'valibot';

import type { Box, LossFunction } from '../boxes/box.js';
import { handingOptions, withBlackBox } from '../boxes/with-black-box.js';
import { DISTRIBUTIONS } from '../model/options.js';
import { blackBoxOptions } from '../objectives/black-box.js';
import type { Derivative } from '../objectives/curvature.js';
import { CENTRAL, findDerivative, FORWARD } from '../objectives/curvature.js';
import { Line } from '../objectives/line.js';
import type { Noise } from '../objectives/noise.js';
import { findNoise, unitInTheLastPlace } from '../objectives/noise.js';
import type { StartPoint } from '../objectives/space.js';
import { boolean, expectedOption, integer, oneOf, parseOptions, positive, seed, string } from '../support/schema.js';

/** The standard deviation of rounding, in units in the last place: of whole computations in double precision at most, */
const DOUBLE = 1000;
/** and in single precision from, to. */
const SINGLE = [0.1, 100] as const;

export const suggestMuOptions = v.strictObject({
  /** Whether μ is for central differences; default: false. */
  central: v.optional(boolean, false),
  /**
   * The direction that the loss is asked along, in multiples of which μ is: `sphere`, of length 1, for `cge`; `gaussian` or
   * `rademacher`, of length about √d, for an `rge` with that distribution. Default: `sphere`.
   */
  distribution: v.optional(oneOf(DISTRIBUTIONS), 'sphere'),
  /** Whether the part of the direction in every tensor has length 1, for an `rge` with this option; default: false. */
  perTensor: v.optional(boolean, false),
  /**
   * The longest distance from x0 to ask at, and the largest μ times the length of a direction, > 0; default: 1. About the size of the
   * parameters: the first distances are 4e-5 of it and less.
   */
  reach: v.optional(positive, 1),
  /** The most losses to ask for, an integer >= 9, and at least 9 times `repeats`; default: 60 times. It is never exceeded. */
  evaluations: v.optional(integer(9)),
  /** Fixes the direction; an integer from 0 to 2⁵³ − 1, default: 0. */
  seed: v.optional(seed, 0),
  /** What all losses share, such as a mini-batch or a simulator's seed; default: 0. */
  sample: v.optional(v.unknown(), 0),
  /** A file that keeps every answer, as in `minimize`. */
  journal: v.optional(string),
  ...v.pick(blackBoxOptions, ['bounds', 'repeats', 'retries']).entries,
  ...handingOptions.entries,
});
/** The options of `suggestMu`. */
export interface SuggestMuOptions extends v.InferInput<typeof suggestMuOptions> {}

/** A smoothing parameter, and what it follows from. */
export interface MuSuggestion {
  /** For the option `mu` of an estimator. */
  mu: number;
  /** The standard deviation of the loss's noise, or a bound on it. */
  noise: number;
  /**
   * The size of the second derivative along the direction, of the third for central differences; a bound on it where it is too
   * small to be told from the noise.
   */
  curvature: number;
  /** Losses asked for, repeated attempts included. */
  evaluations: number;
  /** What was found, in sentences. */
  message: string;
}

/**
 * A smoothing parameter μ for `cge` or `rge`, from the noise σ of the loss near x0 and the size of a derivative there: the μ
 * with the least mean square error of a difference, of what noise and what curvature make of it:
 *
 *     μ = 8^¼·(σ/|f″|)^½,   for central differences   μ = (3σ/|f‴|)^⅓.
 *
 * f is the loss along one random direction. σ is estimated by ECnoise from differences of nine values (Moré & Wild, "Estimating
 * computational noise", SIAM J. Sci. Comput. 33, 2011), the derivative by a few more (Moré & Wild, "Estimating derivatives of noisy
 * simulations", ACM TOMS 38, 2012, whose μ this is). Typically 15 to 30 evaluations. The noise of a function without randomness is
 * that of its rounding, and of the tolerances within. σ is found within a factor of 4, so μ within 2.
 *
 * Differences from the source: the distance at which the derivative is measured is chosen so that the difference is 100 to 10⁴
 * times the noise, by several attempts and in multiples of `reach`; the source tries two distances, σ^¼ and one more, and checks
 * that the loss changes by at most a tenth of its value, which depends on what is added to the loss. The third derivative has the
 * same procedure, which the source leaves open.
 *
 * One direction is one sample: where curvatures differ much by coordinate, so does the best μ. Scale parameters alike.
 *
 * @param loss A function or a box, as in `minimize`. The box is closed in the end.
 * @param x0 As in `minimize`.
 * @throws InvalidArgumentError if an option is out of range or unknown; FileError if the journal is of other options or cannot be
 *   written; RefusedStepError if there is no loss at x0 or next to it.
 * @example
 * const { mu, message } = await suggestMu(f, x0);
 * console.log(message);
 * const { x } = await minimize(f, x0, { estimator: cge({ mu }), optimizer: adam({ lr: 0.01 }), budget: { steps: 100 } });
 */
export async function suggestMu(
  loss: LossFunction | Box,
  x0: StartPoint,
  options: SuggestMuOptions = {},
): Promise<MuSuggestion> {
  const parsed = parseOptions(suggestMuOptions, options, 'suggestMu');
  const { central, distribution, perTensor, reach, seed, sample, journal, evaluations: most, ...handing } = parsed;
  const { bounds, repeats, signal } = handing;
  const evaluations = most ?? 60 * repeats;
  if (evaluations < 9 * repeats) {
    throw expectedOption('evaluations', `at least ${9 * repeats}, 9 times repeats`, String(evaluations));
  }
  const config = { kind: 'suggest-mu', central, distribution, perTensor, reach, seed };
  const limits = { evaluations, journal: journal === undefined ? undefined : { file: journal, config } };
  // What is missing in a table of differences, or beside it, is handled here.
  return withBlackBox(loss, x0, { ...handing, mayFail: 0.999 }, limits, async (box) => {
    const line = new Line(box, { distribution, perTensor, seed, bounds, sample, reach, repeats, signal });
    const noise = await findNoise(line);
    const difference = central ? CENTRAL : FORWARD;
    const derivative = noise.kind === 'constant' ? undefined : await findDerivative(line, noise, difference);
    const best = derivative ? difference.best(noise.sigma, derivative.size) : Infinity;
    const mu = Math.max(line.shortest, Math.min(line.reach, best));
    const words = [
      noiseInWords(line, noise),
      derivativeInWords(derivative, central),
      muInWords(mu, best, line, { central, isBound: derivative?.kind === 'bound' }),
    ];
    const { evaluations } = box.exchange.counts;
    return { mu, noise: noise.sigma, curvature: derivative?.size ?? 0, evaluations, message: words.join('') };
  });
}

/** Three digits. */
function short(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

function noiseInWords(line: Line, { sigma, kind, spacing }: Noise): string {
  if (kind === 'constant') {
    const reach = short(4 * spacing * line.length);
    return `The loss is ${short(line.middle)}, and does not change within ${reach} of x0, or in few places only. `;
  }
  const size = `${short(sigma)} beside a loss of ${short(line.middle)}`;
  if (kind === 'bound')
    return `The noise could not be told for sure from the loss's own changes; it is taken to be ${size}. `;
  const known = line.isRepeatable;
  if (known === false) return `The loss changes when it is asked for again, by a noise of ${size}. `;
  const again = known ? '; it is the same when it is asked for again' : '';
  return `The loss has a noise of ${size}${likeRounding(sigma, line.middle)}${again}. `;
}

function likeRounding(sigma: number, loss: number): string {
  if (sigma <= DOUBLE * unitInTheLastPlace(loss)) return ', as much as rounding in double precision makes';
  const units = sigma / unitInTheLastPlace(loss, 23);
  return units >= SINGLE[0] && units <= SINGLE[1] ? ', as much as rounding in single precision makes' : '';
}

function derivativeInWords(derivative: Derivative | undefined, central: boolean): string {
  if (!derivative) return '';
  const [what, size] = [`${central ? 'third' : 'second'} derivative along a random direction`, short(derivative.size)];
  if (derivative.kind === 'found') return `Its ${what} is about ${size}. `;
  if (derivative.kind === 'bound') return `The noise hides its ${what}, which is at most about ${size}. `;
  return `The evaluations did not suffice to measure its ${what}, which is taken to be ${size}. `;
}

function muInWords(
  mu: number,
  best: number,
  line: Line,
  { central, isBound }: { central: boolean; isBound: boolean },
): string {
  const of = `${central ? 'central' : 'forward'} differences`;
  if (best > line.reach) return `For ${of}, mu = ${short(mu)} is as far as the reach and the bounds allow.`;
  if (best < line.shortest) return `For ${of}, mu = ${short(mu)} is the least that moves every parameter.`;
  return `For ${of}, the error is least at mu = ${short(mu)}${isBound ? ' or above' : ''}.`;
}
