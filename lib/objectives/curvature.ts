/**
 * The size of a derivative of a noisy loss.
 *
 * @module
 */
import type { Line } from './line.js';
import type { Noise } from './noise.js';

/** A difference of losses on a line that estimates a derivative: Δ(h) = factor·hᵏ·f⁽ᵏ⁾ + noise, and the μ that follows. */
export interface DerivativeDifference {
  /** k. */
  readonly order: 2 | 3;
  /** In multiples of h. */
  readonly distances: readonly number[];
  readonly factor: number;
  /** The standard deviation of Δ's noise, in multiples of the loss's. */
  readonly spread: number;
  of(middle: number, losses: readonly number[]): number;
  /** The μ of the least error. */
  best(sigma: number, size: number): number;
}

/** f″, which forward differences leave as error: (f(t + h) − f(t))/h = f′ + ½·h·f″ + …. */
export const FORWARD: DerivativeDifference = {
  order: 2,
  distances: [1, -1],
  factor: 1,
  spread: Math.sqrt(6),
  of: (middle, [above, below]) => above! - 2 * middle + below!,
  best: (sigma, size) => 8 ** (1 / 4) * Math.sqrt(sigma / size),
};

/** f‴, which central differences leave as error: (f(t + h) − f(t − h))/2h = f′ + ⅙·h²·f‴ + …. */
export const CENTRAL: DerivativeDifference = {
  order: 3,
  distances: [2, 1, -1, -2],
  factor: 2,
  spread: Math.sqrt(10),
  of: (_, [above2, above, below, below2]) => above2! - 2 * above! + 2 * below! - below2!,
  best: (sigma, size) => Math.cbrt((3 * sigma) / size),
};

/** The size of a derivative. */
export interface Derivative {
  readonly size: number;
  /** `found`; or the noise hides all but a `bound` on it; or there were no evaluations left, and it is a `guess`. */
  readonly kind: 'found' | 'bound' | 'guess';
}

/** Δ(h) is precise enough at 100 times the noise (Moré & Wild's τ₁), and h needlessly long at 10⁴ times. */
const [LEAST, MOST] = [100, 1e4];
const TARGET = Math.sqrt(LEAST * MOST);
/** Multiples of the noise from which on Δ(h) is an estimate at all, also where σ was found too small. */
const ROUGH = 30;
const MOST_TRIES = 6;
/** The most that h is multiplied or divided by at once. */
const FACTOR = 100;

interface Try {
  readonly h: number;
  /** |Δ(h)|; infinite where a loss is missing. */
  readonly size: number;
}

/** The size of the derivative of a loss along a line. */
export async function findDerivative(line: Line, noise: Noise, difference: DerivativeDifference): Promise<Derivative> {
  const { order, factor, spread } = difference;
  const { sigma } = noise;
  const longest = line.reach / Math.max(...difference.distances);
  const sizeOf = ({ h, size }: Try): number => size / (factor * h ** order);
  let below: Try | undefined;
  let above: Try | undefined;
  let h = longest * firstGuess(sigma, line.middle, order);
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const found = await line.at(difference.distances.map((distance) => distance * h));
    if (!found) break;
    const losses = found.losses.filter((loss) => loss !== undefined);
    const whole = losses.length === difference.distances.length;
    const size = whole ? Math.abs(difference.of(found.middle, losses)) : Infinity;
    if (size >= LEAST * sigma && size <= MOST * sigma) return { size: sizeOf({ h, size }), kind: 'found' };
    if (size < LEAST * sigma) below = { h, size };
    else above = { h, size };
    const next = nextLength(below, above, TARGET * sigma, order, longest);
    if (next === undefined) break;
    h = next;
  }
  if (below && below.size >= ROUGH * sigma) return { size: sizeOf(below), kind: 'found' };
  if (above && above.size < Infinity) return { size: sizeOf(above), kind: 'found' };
  if (below) return { size: sizeOf({ h: below.h, size: below.size + spread * sigma }), kind: 'bound' };
  return { size: Math.max(Math.abs(line.middle), sigma) / longest ** order, kind: 'guess' };
}

/** h over the longest h: σ^(1/(k + 2)) of the source for k = 2, with losses and distances in units of their own. */
function firstGuess(sigma: number, loss: number, order: number): number {
  const relative = sigma / Math.max(sigma, Math.abs(loss));
  return relative > 0 ? relative ** (1 / (order + 2)) : 1;
}

/** The h to try next, by Δ(h) ∝ hᵏ; undefined where there is none. */
function nextLength(
  below: Try | undefined,
  above: Try | undefined,
  target: number,
  order: number,
  longest: number,
): number | undefined {
  if (below && above) return above.h > 1.5 * below.h ? Math.sqrt(below.h * above.h) : undefined;
  const { h, size } = (below ?? above)!;
  const wanted = (target / size) ** (1 / order);
  if (below) return h < longest ? Math.min(longest, h * Math.min(FACTOR, Math.max(2, wanted))) : undefined;
  return h * Math.max(1 / FACTOR, Math.min(1 / 2, size === Infinity ? 1 / 10 : wanted));
}
