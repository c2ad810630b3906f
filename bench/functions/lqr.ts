/**
 * A linear-quadratic regulator: x ← A·x + u, u = K·x, with the cost Σ xᵀQx + uᵀRu. The marginally unstable Laplacian system of Dean,
 * Mania, Matni, Recht & Tu, "On the sample complexity of the linear quadratic regulator" (Found. Comput. Math. 20, 2020), with B = I,
 * Q = I/1000 and R = I, as in the public code of Mania, Guy & Recht (2018). Its horizon there is 300 steps and its states are noisy;
 * here the horizon is infinite and the noise is none, so that the best K is known.
 *
 * @module
 */

type Matrix = readonly (readonly number[])[];

const SIZE = 3;
/** Entries of K. */
export const LQR_PARAMETERS: number = SIZE * SIZE;

const A: Matrix = [
  [1.01, 0.01, 0],
  [0.01, 1.01, 0.01],
  [0, 0.01, 1.01],
];
const Q = 1e-3;

/** s·I. */
const diagonal = (s: number): Matrix => A.map((row, i) => row.map((_, j) => (i === j ? s : 0)));
const transposed = (m: Matrix): Matrix => m.map((_, j) => m.map((row) => row[j]!));
const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
const sum = (a: Matrix, b: Matrix, scale = 1): Matrix => a.map((row, i) => row.map((v, j) => v + scale * b[i]![j]!));
const trace = (m: Matrix): number => m.reduce((total, row, i) => total + row[i]!, 0);
const largest = (m: Matrix): number => Math.max(...m.flat().map(Math.abs));

/** (I + P)⁻¹, P positive semidefinite, by Gauss–Jordan elimination. */
function inverseOfShifted(p: Matrix): Matrix {
  const unit = diagonal(1);
  const rows = sum(unit, p).map((row, i) => [...row, ...unit[i]!]);
  for (let i = 0; i < SIZE; i++) {
    const pivot = rows[i]![i]!;
    rows[i] = rows[i]!.map((value) => value / pivot);
    for (let j = 0; j < SIZE; j++) {
      const factor = rows[j]![i]!;
      if (j !== i) rows[j] = rows[j]!.map((value, k) => value - factor * rows[i]![k]!);
    }
  }
  return rows.map((row) => row.slice(SIZE));
}

/**
 * The mean cost from the three unit vectors as initial states, tr(P)/3 with P = Q + KᵀRK + LᵀPL, L = A + K, by doubling:
 * P ← P + LᵀPL, L ← L². Infinite where K does not stabilise the system.
 *
 * @param k The entries of K by rows.
 */
export function lqrCost(k: ArrayLike<number>): number {
  const gain = A.map((row, i) => row.map((_, j) => k[SIZE * i + j]!));
  let closed = sum(A, gain);
  let cost = sum(diagonal(Q), product(transposed(gain), gain));
  while (largest(closed) > 1e-9) {
    if (!(largest(closed) < 1e9)) return Infinity;
    cost = sum(cost, product(transposed(closed), product(cost, closed)));
    closed = product(closed, closed);
  }
  return trace(cost) / SIZE;
}

/** The best gain, −(R + P)⁻¹·P·A with P the fixed point of the Riccati equation P = Q + Aᵀ·P·A − AᵀP·(R + P)⁻¹·P·A. */
export function bestGain(): Float64Array {
  let cost = diagonal(Q);
  let gain = diagonal(0);
  for (let change = Infinity; change > 1e-16;) {
    gain = product(inverseOfShifted(cost), product(cost, A));
    const next = sum(diagonal(Q), product(transposed(A), product(cost, sum(A, gain, -1))));
    change = largest(sum(next, cost, -1));
    cost = next;
  }
  return Float64Array.from(gain.flat(), (value) => -value);
}
