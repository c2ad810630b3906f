import assert from 'node:assert/strict';
import { ars } from '../../lib/estimators/ars.js';
import { Model } from '../../lib/model/model.js';
import type { Answer, Query } from '../../lib/objectives/query.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { minimize } from '../../lib/training/minimize.js';
import type { MinimizeStep, SearchOptions } from '../../lib/training/search-options.js';
import { Search } from '../../lib/training/search.js';
import { train } from '../../lib/training/train.js';
import { bits, tinyNetwork, tinyTensors } from '../helpers/tiny.js';

const bowl = (x: ArrayLike<number>): number =>
  Array.from(x).reduce((sum, value, i) => sum + (i + 1) * (value - 1) ** 2, 0);
const START = [3, -1, 0.5];
const [DIRECTIONS, TOP, MU, LR] = [6, 4, 0.1, 0.05];
const OPTIONS: SearchOptions = {
  estimator: ars({ directions: DIRECTIONS, top: TOP, mu: MU }),
  optimizer: sgd({ lr: LR }),
  budget: { steps: 1 },
  seed: 5,
  retries: 0,
};

/** The queries of the first step, by id, and the point after it. */
async function oneStep(
  answer: (query: Query) => Answer,
  options: SearchOptions = OPTIONS,
  order = (ids: string[]): string[] => ids,
): Promise<{ asked: Map<string, Float64Array>; x: Float64Array; step: MinimizeStep }> {
  let step: MinimizeStep | undefined;
  const search = await Search.open(START, { ...options, onStep: (made) => (step ??= made) });
  const queries = await search.ask(100);
  const byId = new Map(queries.map((query) => [query.id, query]));
  for (const id of order([...byId.keys()])) search.tell(id, answer(byId.get(id)!));
  const [next] = await search.ask(100);
  assert.match(next!.id, /^1\.b/);
  search.close();
  await assert.rejects(search.result);
  return { asked: new Map(queries.map((query) => [query.id, query.point()])), x: next!.point(), step: step! };
}

/** The update of algorithm 1, from the directions with these numbers. */
function updated(asked: Map<string, Float64Array>, directions: readonly number[], top = TOP): number[] {
  const rollouts = directions.map((k) => {
    const [plus, minus] = [asked.get(`0.d${k}+`)!, asked.get(`0.d${k}-`)!];
    const delta = START.map((value, i) => (plus[i]! - value) / MU);
    return { delta, rewards: [-bowl(plus), -bowl(minus)] as const };
  });
  rollouts.sort((a, b) => Math.max(...b.rewards) - Math.max(...a.rewards));
  const used = rollouts.slice(0, top);
  const rewards = used.flatMap((rollout) => rollout.rewards);
  const average = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
  const deviation = Math.sqrt(rewards.reduce((sum, reward) => sum + (reward - average) ** 2, 0) / rewards.length);
  return START.map((value, i) => {
    const sum = used.reduce((total, { delta, rewards: [plus, minus] }) => total + (plus - minus) * delta[i]!, 0);
    return value + (LR / (used.length * deviation)) * sum;
  });
}

function assertNear(actual: ArrayLike<number>, expected: readonly number[]): void {
  expected.forEach((value, i) => {
    assert.ok(Math.abs(actual[i]! - value) < 1e-9, `${i}: ${actual[i]!} is not ${value}`);
  });
}

const ALL = Array.from({ length: DIRECTIONS }, (_, k) => k);
const loss = (query: Query): number => bowl(query.point());

describe('ars', () => {
  it('makes the update of the paper, by the best directions alone', async () => {
    const { asked, x } = await oneStep(loss);
    assert.equal(asked.size, 1 + 2 * DIRECTIONS);
    assertNear(x, updated(asked, ALL));
    // The choice matters: it is not that of all directions.
    assert.ok(Math.abs(x[0]! - updated(asked, ALL, DIRECTIONS)[0]!) > 1e-4);
    const whole = await oneStep(loss, { ...OPTIONS, estimator: ars({ directions: DIRECTIONS, mu: MU }) });
    assertNear(whole.x, updated(whole.asked, ALL, DIRECTIONS));
  });

  it('draws normal directions, new ones at every step', async () => {
    const points: number[][] = [];
    const at = (x: Float64Array): number => (points.push([...x]), 0);
    const estimator = ars({ directions: 300, mu: 1 });
    await minimize(at, START, { estimator, optimizer: sgd({ lr: 1 }), budget: { steps: 2 } });
    assert.equal(points.length, 2 * 601 + 1);
    const entries = points.slice(1, 601).flatMap((point) => point.map((value, i) => value - START[i]!));
    const variance = entries.reduce((sum, entry) => sum + entry ** 2, 0) / entries.length;
    // Of 900 independent squares: a standard deviation of √(2/900) = 0.047.
    assert.ok(Math.abs(variance - 1) < 0.2, String(variance));
    assert.notDeepEqual(points[1], points[602]);
    // Equal losses: no move.
    assert.deepEqual(points.at(-1), START);
  });

  it('does not depend on a shift or a scale of the loss', async () => {
    const { x } = await oneStep(loss);
    const other = await oneStep((query) => 7 * loss(query) - 100);
    assertNear(other.x, [...x]);
  });

  it('yields equal bits whatever the order of the answers', async () => {
    const { x } = await oneStep(loss);
    for (const order of [(ids: string[]) => ids.reverse(), (ids: string[]) => ids.sort()]) {
      assert.equal(bits((await oneStep(loss, OPTIONS, order)).x), bits(x));
    }
  });

  it('leaves out a direction without an answer on one side, and counts it', async () => {
    const failing = (query: Query): Answer => {
      if (query.id === '0.d1+') return { failed: 'fell over' };
      return query.id === '0.d4-' ? { infeasible: 'too far' } : loss(query);
    };
    const { asked, x, step } = await oneStep(failing);
    assertNear(
      x,
      updated(
        asked,
        ALL.filter((k) => k !== 1 && k !== 4),
      ),
    );
    assert.deepEqual([step.failed, step.unanswered], [2, 2]);
    const oneSided = (query: Query): Answer => (query.id.endsWith('-') ? { failed: 'no' } : loss(query));
    const search = await Search.open(START, OPTIONS);
    for (const query of await search.ask(100)) search.tell(query.id, oneSided(query));
    await assert.rejects(search.result, { message: 'No direction has a loss on both sides' });
  });

  it('takes the move that bounds leave', async () => {
    const bounds = [
      [2.95, -10, -10],
      [3, 10, 10],
    ] as const;
    const { asked, x } = await oneStep(loss, { ...OPTIONS, bounds, estimator: ars({ directions: 1, mu: MU }) });
    const [plus, minus] = [asked.get('0.d0+')!, asked.get('0.d0-')!];
    // One direction: its losses are one deviation from their mean, so their difference is two deviations.
    const sign = Math.sign(bowl(plus) - bowl(minus));
    const moved = START.map((value, i) => value - (LR * 2 * sign * (plus[i]! - minus[i]!)) / (2 * MU));
    assertNear(x, [Math.min(3, Math.max(2.95, moved[0]!)), moved[1]!, moved[2]!]);
  });

  it('reports the signal over the noise where queries are repeated', async () => {
    let calls = 0;
    // Antithetic noise: two repeats cancel it, and the variance of their mean is 0.01.
    const noisy = (query: Query): number => loss(query) + (++calls % 2 === 0 ? 0.1 : -0.1);
    const estimator = ars({ directions: 1, mu: MU });
    const { asked, step } = await oneStep(noisy, { ...OPTIONS, estimator, repeats: 2 });
    // Of one direction, the entries of estimate and error are in one ratio: a difference's to its standard error.
    const difference = bowl(asked.get('0.d0+.0')!) - bowl(asked.get('0.d0-.0')!);
    const ratio = step.signalToNoise!['x']!;
    assert.ok(Math.abs(ratio - Math.abs(difference) / Math.sqrt(0.02)) < 1e-9, String(ratio));
    const { step: quiet } = await oneStep(loss);
    assert.equal(quiet.signalToNoise, undefined);
  });

  it('minimises', async () => {
    const { loss: least, stopped } = await minimize(bowl, START, {
      estimator: ars({ directions: 8, top: 4, mu: 0.03 }),
      optimizer: sgd({ lr: 0.02 }),
      budget: { evaluations: 20_000 },
      target: 1e-2,
    });
    assert.equal(stopped, 'target', String(least));
  });

  it('takes fewer directions where a sample of its queries is asked for', () => {
    const estimator = ars({ directions: 8, top: 4, mu: 0.03 });
    assert.deepEqual(estimator.sample(7).config, { kind: 'ars', directions: 3, top: 3, mu: 0.03 });
    assert.equal(estimator.queriesPerStep({} as never), 17);
  });

  it('refuses what it cannot do', async () => {
    const cases: [object, RegExp][] = [
      [{ directions: 0, mu: 1 }, /^Expected directions to be an integer from 1 to 524288, received 0$/],
      [{ directions: 600_000, mu: 1 }, /^Expected directions to be an integer from 1 to 524288, received 600000$/],
      [{ directions: 2, mu: 0 }, /^Expected mu to be a finite number > 0 that float32 can hold, received 0$/],
      [{ directions: 2, mu: 1, top: 3 }, /^Expected top to be at most directions, 2, received 3$/],
      [{ directions: 2, mu: 1, topp: 1 }, /^Unknown option "topp" in ars; did you mean "top"\?$/],
    ];
    for (const [options, message] of cases) assert.throws(() => ars(options as never), { message });
    const { estimator, optimizer } = OPTIONS;
    using model = new Model(tinyNetwork(), { seed: 1 });
    const run = train(model, tinyTensors(16), { estimator, optimizer, steps: 1, batchSize: 16 });
    await assert.rejects(
      run[Symbol.asyncIterator]().next(),
      /^InvalidArgumentError: Expected the objective of ars to be a function or a box of /,
    );
  });
});
