/**
 * Journals of runs in which not every query was answered: done again, they ask nothing and end in the same result.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { LossContext, LossFunction } from '../../lib/boxes/box.js';
import { ars } from '../../lib/estimators/ars.js';
import { cge } from '../../lib/estimators/cge.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import type { Answer, Query } from '../../lib/objectives/query.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { zoGraspBox } from '../../lib/pruning/zo-grasp-box.js';
import { minimize } from '../../lib/training/minimize.js';
import type { MinimizeResult, SearchOptions } from '../../lib/training/search-options.js';
import { Search } from '../../lib/training/search.js';
import { suggestMu } from '../../lib/training/suggest-mu.js';
import { bits, withFolder } from '../helpers/tiny.js';

const START = [3, -1, 0.5];
const bowl = (x: ArrayLike<number>): number =>
  Array.from(x).reduce((sum, value, i) => sum + (i + 1) * (value - 1) ** 2, 0);

type Run = (loss: LossFunction, journal: string | undefined) => Promise<unknown>;

/** A bowl without answers to some queries. @returns it, and the ids that it is asked. */
function without(wrong: (id: string, x: Float64Array) => Answer | undefined): { loss: LossFunction; asked: string[] } {
  const asked: string[] = [];
  const loss = (x: Float64Array, { id }: LossContext): Answer => (asked.push(id), wrong(id, x) ?? bowl(x));
  return { loss, asked };
}

const failing = (ids: RegExp) => (id: string) => (ids.test(id) ? { failed: 'no connection' } : undefined);
const withJournal = (use: (journal: string) => Promise<void>): Promise<void> =>
  withFolder((folder) => use(join(folder, 'answers.jsonl')));

const minimizing =
  (options: Partial<SearchOptions>): Run =>
  (loss, journal) => {
    const all = { estimator: cge({ mu: 1e-3 }), optimizer: sgd({ lr: 0.1 }), budget: { steps: 4 }, retries: 1 };
    return minimize(loss, START, { ...all, ...options, journal });
  };
const ARS = minimizing({ estimator: ars({ directions: 4, mu: 0.1 }), retries: 0 });
const PATTERN = minimizing({ estimator: patternSearch({ radius: 0.5, queries: 6 }), optimizer: sgd({ lr: 1 }) });
const tensors = { w: START, b: [0.25] };

describe('a run that has ended', () => {
  const cases: [what: string, run: Run, wrong: Parameters<typeof without>[0]][] = [
    ['of coordinates', minimizing({}), failing(/c1\+/)],
    ['whose last point has no loss', minimizing({}), failing(/^4\.b/)],
    ['of trials', PATTERN, failing(/t[135]$/)],
    ['of directions', ARS, failing(/d1\+|d3-/)],
    [
      'that goes back from points, and repeats',
      minimizing({ repeats: 2, budget: { steps: 8 }, estimator: cge({ mu: 1e-3 }), optimizer: sgd({ lr: 0.4 }) }),
      (id, x) => {
        if (x[0]! > 1.2) return undefined;
        return id.endsWith('.0') ? { failed: 'no connection' } : { infeasible: 'too cold' };
      },
    ],
    ['of suggestMu', (loss, journal) => suggestMu(loss, START, { journal, retries: 1 }), failing(/^[2-9]\.d0-/)],
    [
      'of zoGraspBox',
      (loss, journal) => zoGraspBox(loss, tensors, { sparsity: 0.5, queries: 8, journal, retries: 1 }),
      failing(/^[01]\.d[35]\+/),
    ],
  ];
  for (const [what, run, wrong] of cases) {
    it(`${what} ends likewise when it is done again, and asks nothing`, () =>
      withJournal(async (journal) => {
        const { loss, asked } = without(wrong);
        const first = await run(loss, journal);
        assert.match(await readFile(journal, 'utf8'), /"failed"/);
        const calls = asked.length;
        for (let again = 0; again < 2; again++) assert.deepEqual(await run(loss, journal), first);
        assert.equal(asked.length, calls);
      }));
  }
});

describe('a call that was refused for its failures', () => {
  it('goes on after a repair where an estimator refused the step', () =>
    withJournal(async (journal) => {
      const broken = without(failing(/^2\.d.-/));
      const refused = (await ARS(broken.loss, journal)) as MinimizeResult;
      assert.equal(refused.message, 'Step 2 was refused: No direction has a loss on both sides');
      const { loss, asked } = without(() => undefined);
      const rest = (await ARS(loss, journal)) as MinimizeResult;
      const whole = (await ARS(bowl, undefined)) as MinimizeResult;
      assert.deepEqual([rest.stopped, bits(rest.x)], ['budget', bits(whole.x)]);
      assert.deepEqual(asked.slice(0, 5), ['2.d0-', '2.d1-', '2.d2-', '2.d3-', '3.b']);
    }));

  /** Points where a loss was asked are those of before, so what failed there stays. */
  const parts: [what: string, run: Run, dead: RegExp, lost: RegExp][] = [
    [
      'suggestMu',
      (loss, journal) => {
        // Its digits hide the noise in the first table.
        const coarse: LossFunction = async (x, context) => {
          const answer = await loss(x, context);
          return typeof answer === 'number' ? Math.round(1e3 * answer) / 1e3 : answer;
        };
        return suggestMu(coarse, START, { journal, repeats: 2, retries: 0, evaluations: 200 });
      },
      /^1\./,
      /^0\.d0\+\.1$/,
    ],
    [
      'zoGraspBox',
      (loss, journal) => zoGraspBox(loss, tensors, { sparsity: 0.5, queries: 8, journal, retries: 0 }),
      /^1\.b/,
      /^0\.d3\+/,
    ],
  ];
  for (const [what, run, dead, lost] of parts) {
    it(`goes on after a repair in ${what}, and asks again only for the last losses`, () =>
      withJournal(async (journal) => {
        const broken = without(failing(new RegExp(`${dead.source}|${lost.source}`)));
        await assert.rejects(run(broken.loss, journal), { name: 'RefusedStepError' });
        const { loss, asked } = without(() => undefined);
        const rest = await run(loss, journal);
        assert.ok(asked.length > 0 && asked.every((id) => !id.startsWith('0.')), asked.join());
        const known = await run(without(failing(lost)).loss, undefined);
        const counted = { evaluations: 0 };
        assert.deepEqual({ ...(rest as object), ...counted }, { ...(known as object), ...counted });
      }));
  }
});

/** A limit that the minimum is beyond. */
const limited = (x: Float64Array): Answer =>
  x[0]! > 2 ? { infeasible: 'too far' } : (x[0]! - 3) ** 2 + (x[1]! + 1) ** 2;
const LIMITED = { estimator: cge({ mu: 0.02 }), optimizer: sgd({ lr: 0.1 }), budget: { steps: 30 } };

/** When answers are told to queries that were given up. */
type Late = 'at once' | 'later' | 'never';

/** Answers all queries of a step together. @returns the result, and how often the base point was infeasible. */
async function answered(
  journal: string,
  order: (queries: Query[]) => Query[],
  late: Late,
): Promise<[MinimizeResult, number]> {
  using search = await Search.open([0, 0], { ...LIMITED, journal });
  let back = 0;
  let rest: Query[] = [];
  const tell = (query: Query): void => {
    search.tell(query.id, limited(query.point()));
  };
  for (let queries; (queries = await search.ask(100)).length > 0;) {
    rest.forEach(tell);
    rest = [];
    if (typeof limited(queries[0]!.base) === 'number') {
      order(queries).forEach(tell);
      continue;
    }
    back += 1;
    if (late === 'at once') order(queries).forEach(tell);
    else tell(queries[0]!);
    if (late === 'later') rest = queries.slice(1);
  }
  assert.deepEqual(rest, []);
  return [await search.result, back];
}

describe('a point that the box cannot take', () => {
  const orders: [string, (queries: Query[]) => Query[]][] = [
    ['first', (queries) => queries],
    ['last', (queries) => queries.toReversed()],
    ['in the middle', ([base, ...others]) => [...others.slice(0, 1), base!, ...others.slice(1)]],
  ];
  it('is left likewise whether its answer comes first or last, and again from the journal', () =>
    withFolder(async (folder) => {
      const [whole] = await answered(join(folder, 'whole'), (queries) => queries, 'at once');
      for (const [where, order] of orders) {
        const journal = join(folder, where);
        const [result, back] = await answered(journal, order, 'at once');
        assert.ok(back > 1, String(back));
        assert.deepEqual([result.stopped, result.steps], ['budget', 30]);
        assert.deepEqual(result, whole, where);
        const never: LossFunction = (_, { id }) => ({ failed: `asked for ${id}` });
        assert.deepEqual(await minimize(never, [0, 0], { ...LIMITED, journal }), result, where);
      }
    }));

  for (const late of ['later', 'never'] as const) {
    it(`counts those around it once where they are answered ${late}`, () =>
      withFolder(async (folder) => {
        const [whole, back] = await answered(join(folder, 'whole'), (queries) => queries, 'at once');
        const journal = join(folder, 'answers');
        const [result] = await answered(journal, (queries) => queries, late);
        const failed = late === 'later' ? whole.failed : whole.failed - 2 * back;
        assert.deepEqual(result, { ...whole, failed });
        assert.deepEqual(await minimize(limited, [0, 0], { ...LIMITED, journal }), result);
      }));
  }

  it('is told from one that it can take and few around it, whose step is refused', async () => {
    for (const [where, order] of orders) {
      using search = await Search.open([0, 0], LIMITED);
      for (let queries; (queries = await search.ask(100)).length > 0;) {
        for (const query of order(queries)) {
          const isBeside = query.step === 2 && query.changes !== undefined;
          search.tell(query.id, isBeside ? { infeasible: 'too far' } : limited(query.point()));
        }
      }
      const { stopped, message } = await search.result;
      assert.equal(stopped, 'failures', where);
      assert.match(
        message,
        /^Step 2 was refused: 2 of 2 queries have no answer, more than the fraction 0\.5 that mayFail/,
      );
    }
  });

  it('makes no update: the schedule stays, and onStep is not called', async () => {
    const positions = new Set<number>();
    const at = ({ step }: { step: number }): number => (positions.add(step), 0.1);
    const updates: number[] = [];
    const { steps } = await minimize(limited, [0, 0], {
      ...{ ...LIMITED, optimizer: sgd({ lr: { config: {}, at } }) },
      onStep: ({ step }) => updates.push(step),
    });
    assert.equal(steps, 30);
    assert.ok(updates.length < steps && updates.at(-1) === 29);
    assert.deepEqual([...positions], [...updates.keys()]);
  });

  it('is x0 itself: the run rejects, whether others were answered before or not', async () => {
    for (const order of [(ids: Query[]) => ids, (ids: Query[]) => ids.reverse()]) {
      using search = await Search.open([3, 0], LIMITED);
      const queries = await search.ask(100);
      for (const { id } of order(queries)) search.tell(id, id === '0.b' ? { infeasible: 'too far' } : 1);
      await assert.rejects(search.result, {
        name: 'RefusedStepError',
        message: 'There is no loss at the unperturbed point, query 0.b: too far',
      });
    }
  });
});

describe('a loss that comes after its query was told to have failed', () => {
  it('is one evaluation, also from the journal', () =>
    withJournal(async (journal) => {
      const options = { ...LIMITED, budget: { steps: 2 }, journal };
      const search = await Search.open([0, 0], options);
      for (let queries; (queries = await search.ask(100)).length > 0;) {
        for (const query of queries) {
          if (query.id === '1.c0+') search.tell(query.id, { failed: 'no connection' });
          search.tell(query.id, limited(query.point()));
        }
      }
      const result = await search.result;
      search.close();
      assert.deepEqual([result.evaluations, result.failed], [7, 1]);
      assert.deepEqual(await minimize(limited, [0, 0], options), result);
    }));
});
