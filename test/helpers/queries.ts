/**
 * Queries that no estimator asks.
 *
 * @module
 */
import type { Query } from '../../lib/objectives/query.js';

/** A query at a point of its own. */
export function queryOf(id: string, x: readonly number[] = [0]): Query {
  const base = Float64Array.from(x);
  const tensors = [{ name: 'x', shape: [x.length], offset: 0, size: x.length, maskable: true }];
  return { id, step: Number.parseInt(id), sample: 0, tensors, base, point: () => base.slice() };
}

/** Queries of step 0, the first at the base point. */
export function queriesOf(count: number): Query[] {
  return Array.from({ length: count }, (_, i) => queryOf(i === 0 ? '0.b' : `0.c${i}+`, [i]));
}
