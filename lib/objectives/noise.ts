/**
 * The noise of a loss, from tables of differences.
 *
 * @module
 */
import { RefusedStepError } from './black-box.js';
import type { Line } from './line.js';

/** What values at equally spaced points say of their noise. */
export interface NoiseFinding {
  /** Whether the noise was found; if not, which spacing to try instead. */
  readonly outcome: 'found' | 'wider' | 'narrower';
  /** The standard deviation of the noise; if it was not found, that of differences of the order where it is least. */
  readonly noise: number;
  /** Whether the values differ by more than a tenth of the largest: what looks like noise may be the function itself. */
  readonly isDoubtful: boolean;
}

/** The levels of three successive orders agree within this factor where they show noise. */
const AGREEMENT = 4;

/**
 * ECnoise (Moré & Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33(3), 2011, section 3): the standard deviation σ of
 * the noise ε of values f(t) + ε(t) at equally spaced t, f smooth. Of independent noise
 *
 *     σ² = γ_k·E[(Δᵏ)²],   γ_k = (k!)² / (2k)!,
 *
 * for every order k, while the differences Δᵏf vanish as k grows. The level of order k is σ_k, by the mean of the squares of its
 * differences; σ is the first σ_k that is within a factor of 4 of the two that follow, and whose differences have both signs. If
 * half of the values equal their neighbours, the points are too close to see the noise; if no such k exists, too far apart.
 *
 * Difference from the source: where the values differ by more than a tenth of the largest, the source takes the points for too far
 * apart, even if the noise is that large. Here the finding is doubtful: `findNoise` compares it with another one.
 *
 * @param values At least six, seven to nine for a reliable estimate.
 */
export function noiseOf(values: readonly number[]): NoiseFinding {
  const isDoubtful = Math.max(...values) - Math.min(...values) > 0.1 * Math.max(...values.map(Math.abs));
  const levels: number[] = [];
  const mixed: boolean[] = [];
  let differences = values;
  let gamma = 1;
  for (let order = 1; order < values.length; order++) {
    differences = differences.slice(1).map((value, i) => value - differences[i]!);
    if (order === 1 && differences.filter((difference) => difference === 0).length >= values.length / 2) {
      return { outcome: 'wider', noise: 0, isDoubtful };
    }
    gamma *= order / (4 * order - 2);
    const squares = differences.reduce((sum, difference) => sum + difference ** 2, 0);
    levels.push(Math.sqrt((gamma * squares) / differences.length));
    mixed.push(Math.min(...differences) < 0 && Math.max(...differences) > 0);
  }
  const last = levels.length - 2;
  for (let k = 0; k < last; k++) {
    const three = levels.slice(k, k + 3);
    if (mixed[k]! && Math.max(...three) <= AGREEMENT * Math.min(...three))
      return { outcome: 'found', noise: levels[k]!, isDoubtful };
  }
  return { outcome: 'narrower', noise: Math.min(...levels), isDoubtful };
}

/** The noise of a loss. */
export interface Noise {
  /** Its standard deviation. */
  readonly sigma: number;
  /** `found`; or no more than a `bound` on it is known; or the loss is `constant`, and σ is that of rounding. */
  readonly kind: 'found' | 'bound' | 'constant';
  /** The distance between the points of the last table. */
  readonly spacing: number;
}

/** Points on each side of the middle. */
const HALF = 4;
/**
 * The first spacing, in multiples of the reach: so wide that single precision tells the points apart, so narrow that the fourth
 * differences of a smooth function are below the rounding of double precision.
 */
const SPACING = 1e-5;
/** What the spacing is multiplied or divided by; the source's. */
const FACTOR = 100;
const MOST_TABLES = 5;

/** Two estimates by nine values each differ by less. */
const CONFIRMATION = 10;

/**
 * The noise along a line, by tables of nine values whose spacing is changed until they show it. A doubtful one must show again with a
 * narrower spacing.
 */
export async function findNoise(line: Line): Promise<Noise> {
  // The widest spacing that is too narrow, and the narrowest that is too wide.
  let [narrow, wide] = [0, Infinity];
  let [last, doubtful] = [Infinity, Infinity];
  let least: number | undefined;
  let spacing = SPACING * line.reach;
  for (let table = 0; table < MOST_TABLES; table++) {
    const values = await valuesAt(line, spacing);
    if (!values) break;
    least = rounding(values);
    const { outcome, noise, isDoubtful } = noiseOf(values);
    if (outcome === 'wider') {
      narrow = spacing;
    } else {
      wide = spacing;
      last = Math.max(noise, least);
    }
    if (outcome === 'found') {
      const isConfirmed = last <= CONFIRMATION * doubtful && doubtful <= CONFIRMATION * last;
      if (!isDoubtful || isConfirmed) return { sigma: last, kind: 'found', spacing };
      doubtful = last;
    }
    const next = nextSpacing(spacing, narrow, wide, line.reach / HALF);
    if (next === undefined) break;
    spacing = next;
  }
  if (least === undefined) throw new RefusedStepError('The evaluations were used up before nine losses were known');
  return last === Infinity ? { sigma: least, kind: 'constant', spacing } : { sigma: last, kind: 'bound', spacing };
}

/** The spacing to try next; undefined where there is none between those that were. */
function nextSpacing(spacing: number, narrow: number, wide: number, widest: number): number | undefined {
  if (narrow === 0) return spacing / FACTOR;
  if (wide < AGREEMENT * narrow) return undefined;
  const next = Math.min(wide === Infinity ? FACTOR * spacing : Math.sqrt(narrow * wide), widest);
  return next === spacing ? undefined : next;
}

/** Nine values around the middle; undefined where the budget does not suffice. */
async function valuesAt(line: Line, spacing: number): Promise<number[] | undefined> {
  const above = Array.from({ length: HALF }, (_, i) => (i + 1) * spacing);
  const found = await line.at([...above.map((distance) => -distance).reverse(), ...above]);
  if (!found) return undefined;
  const values = [...found.losses.slice(0, HALF), found.middle, ...found.losses.slice(HALF)];
  const known = values.filter((value) => value !== undefined);
  if (known.length === values.length) return known;
  throw new RefusedStepError(`${values.length - known.length} of ${values.length} points next to x0 have no loss`);
}

/** The least noise of losses: the standard deviation of rounding the largest to double precision, by a uniform error. */
function rounding(losses: readonly number[]): number {
  return unitInTheLastPlace(Math.max(...losses.map(Math.abs))) / Math.sqrt(12);
}

/** The distance between doubles, or with 23 bits between single-precision numbers, of the size of a value. */
export function unitInTheLastPlace(value: number, bits: 52 | 23 = 52): number {
  return value === 0 ? 0 : 2 ** (Math.floor(Math.log2(Math.abs(value))) - bits);
}
