/**
 * What side by side is worth to rollouts: the queries of CGE through the wake of a cylinder sixteen lanes at a time, one query at a
 * time, and step by step from JavaScript.
 *
 * @module
 */
import type { Batch } from 'deepzero';
import { Model, rollout } from 'deepzero';

import type { Contender, Session } from '../support/sampling.js';
import { alternate } from '../support/sampling.js';
import type { Statistics } from '../support/statistics.js';
import { statistics } from '../support/statistics.js';
import { stratified } from '../support/stratified.js';
import { ACROSS, buildWake, correction, ITEM, itemOf, startVelocities, VELOCITIES } from '../support/wake.js';

export interface RolloutsRow {
  trajectories: number;
  steps: number;
  how: 'side by side' | 'one query at a time' | 'from JavaScript';
  threads: number;
  /** Queries of a call, with the unperturbed one. */
  queries: number;
  /** Of the quickest call: the one that other processes disturbed least. */
  queriesPerSecond: number;
  /** Against one query at a time, of quickest calls. */
  ratio: number;
  seconds: Statistics;
}

export interface RolloutsOptions {
  readonly trajectories: readonly number[];
  readonly steps: number;
  readonly threads: number;
  readonly mu: number;
  readonly seed: number;
}

/** Queries side by side, whose last lanes are then seldom idle; and by the slower ways. */
const [MANY, FEW] = [127, 4];

export async function timeRollouts(options: RolloutsOptions, session: Session): Promise<RolloutsRow[]> {
  const { trajectories, steps, threads, mu, seed } = options;
  const { simulator } = buildWake();
  const config = `${ACROSS} velocity 1 1 1000 0`;
  const modelOf = (count: number, length: number): Model =>
    new Model(correction(), { seed, threads: count, loss: rollout({ simulator, config, steps: length }) });
  const counts = Array.from({ length: threads }, (_, i) => i + 1);
  const sideBySide = counts.map((count) => modelOf(count, steps));
  const [alone, single] = [modelOf(1, steps), modelOf(1, 1)];
  const all = Uint32Array.from({ length: alone.parameterCount }, (_, i) => i);
  const coordinates = stratified(all, MANY, seed);
  const rows: RolloutsRow[] = [];
  try {
    for (const model of [...sideBySide, alone, single])
      model.parameters.set(alone.parameters.map((value) => value / 20));
    for (const count of trajectories) {
      const batch = batchOf(count, steps);
      const points = Array.from(coordinates.subarray(0, FEW), (i) =>
        alone.parameters.with(i, alone.parameters[i]! + mu),
      );
      const contenders: (Contender & Pick<RolloutsRow, 'how' | 'threads' | 'queries'>)[] = [
        {
          ...{
            name: `${count} trajectories, one query at a time`,
            how: 'one query at a time',
            threads: 1,
            queries: FEW,
          },
          run: async () => {
            for (const at of points) await alone.forward(batch, { at });
          },
        },
        {
          ...{ name: `${count} trajectories, from JavaScript`, how: 'from JavaScript', threads: 1, queries: FEW },
          run: async () => {
            for (const at of points) await stepByStep(single, batch, at, steps);
          },
        },
        ...sideBySide.map((model, i) => ({
          name: `${count} trajectories, side by side on ${i + 1} threads`,
          ...{ how: 'side by side' as const, threads: i + 1, queries: coordinates.length + 1 },
          run: () => model.coordinatewise(batch, { mu, coordinates }),
        })),
      ];
      for (const { run } of contenders) await run();
      const timings = await alternate(contenders, session);
      const rates = contenders.map(({ queries }, i) => queries / Math.min(...timings[i]!));
      contenders.forEach(({ how, threads: used, queries }, i) => {
        const [queriesPerSecond, ratio] = [rates[i]!, rates[i]! / rates[0]!];
        const times = statistics(timings[i]!);
        rows.push({ trajectories: count, steps, how, threads: used, queries, queriesPerSecond, ratio, seconds: times });
      });
    }
    return rows;
  } finally {
    for (const model of [...sideBySide, alone, single]) model[Symbol.dispose]();
  }
}

/** Trajectories that differ in their Reynolds number, to the target 0. */
function batchOf(count: number, steps: number): Batch {
  const images = new Float32Array(count * ITEM);
  for (let i = 0; i < count; i++) images.set(itemOf(150 + 50 * i, startVelocities()), i * ITEM);
  return { images, count, targets: new Float32Array(count * steps * (VELOCITIES[0] + VELOCITIES[1])) };
}

/** The loss of a rollout whose steps JavaScript makes, one after another. */
async function stepByStep(model: Model, batch: Batch, at: Float32Array, steps: number): Promise<number> {
  const width = VELOCITIES[0] + VELOCITIES[1];
  let [now, loss] = [{ ...batch, targets: new Float32Array(batch.count * width) }, 0];
  for (let step = 0; step < steps; step++) {
    const result = await model.forward(now, { at });
    loss += result.loss / steps;
    const images = new Float32Array(now.images.length);
    for (let i = 0; i < batch.count; i++) {
      images.set(itemOf(batch.images[i * ITEM]!, result.outputs.subarray(i * width, (i + 1) * width)), i * ITEM);
    }
    now = { ...now, images };
  }
  return loss;
}
