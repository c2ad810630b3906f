import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cge } from '../../lib/estimators/cge.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { rge } from '../../lib/estimators/rge.js';
import { adam, sgd } from '../../lib/optimizers/optimizers.js';
import { cosine } from '../../lib/optimizers/schedules.js';
import type { MinimizeOptions } from '../../lib/training/minimize.js';
import { minimize } from '../../lib/training/minimize.js';
import { Search } from '../../lib/training/search.js';
import { leavingNothing } from '../helpers/resources.js';
import { bits, withFolder } from '../helpers/tiny.js';

const bowl = (x: ArrayLike<number>): number =>
  Array.from(x).reduce((sum, value, i) => sum + (i + 1) * (value - 1) ** 2, 0);
const START = [3, -1, 0.5];
const OPTIONS: MinimizeOptions = {
  estimator: cge({ mu: 1e-4, central: true }),
  optimizer: sgd({ lr: 0.1 }),
  budget: { steps: 10 },
};

/** The bits of a result's point. */
const pointOf = ({ x }: { x: Float64Array }): string => bits(x);

describe('minimize', () => {
  it('makes the steps of central differences, in double precision', async () => {
    const { x, steps, evaluations, failed, stopped } = await minimize(bowl, START, OPTIONS);
    // The central difference of a quadratic is its derivative.
    const exact = START.map((value, i) => 1 + (value - 1) * (1 - 0.2 * (i + 1)) ** 10);
    x.forEach((value, i) => {
      assert.ok(Math.abs(value - exact[i]!) < 1e-9, `${value} ${exact[i]!}`);
    });
    assert.deepEqual(
      { steps, evaluations, failed, stopped },
      { steps: 10, evaluations: 71, failed: 0, stopped: 'budget' },
    );
  });

  it('takes every estimator, and tensors by name', async () => {
    const start = { w: [[3, -1]], b: [0.5] };
    const cases: Partial<MinimizeOptions>[] = [
      { estimator: cge({ mu: 1e-4, ratios: { w: 0.5, b: 0 }, redrawEvery: 1 }) },
      { estimator: rge({ mu: 1e-4, queries: 3 }), optimizer: adam({ lr: cosine({ peak: 0.1 }) }) },
      { estimator: patternSearch({ radius: 0.3, queries: 6 }), optimizer: sgd({ lr: 1 }) },
    ];
    for (const options of cases) {
      const { loss } = await minimize(bowl, start, { ...OPTIONS, budget: { steps: 60 }, ...options });
      assert.ok(loss < 0.2 * bowl(START), String(loss));
    }
  });

  it('never makes more evaluations than the budget, failures included', async () => {
    for (const evaluations of [8, 20, 21, 22, 57]) {
      let calls = 0;
      const loss = (x: Float64Array): number => (++calls % 5 === 0 ? NaN : bowl(x));
      const result = await minimize(loss, START, { ...OPTIONS, budget: { evaluations } });
      assert.ok(calls <= evaluations, `${calls} of ${evaluations}`);
      assert.equal(result.evaluations, calls);
      assert.equal(result.failed, Math.floor(calls / 5));
      assert.equal(result.stopped, 'budget');
    }
  });

  it('ends at a target, when it has converged, and when it is aborted, and says so', async () => {
    const target = await minimize(bowl, START, { ...OPTIONS, budget: { steps: 1000 }, target: 1e-3 });
    assert.equal(target.stopped, 'target');
    assert.ok(target.loss <= 1e-3 && target.loss === bowl(target.x));
    const still = await minimize(bowl, START, { ...OPTIONS, budget: { steps: 1000 }, tolerance: 1e-3 });
    assert.equal(still.stopped, 'converged');
    assert.ok(still.steps < 100);
    const controller = new AbortController();
    const onStep = ({ step }: { step: number }): void => {
      if (step === 3) controller.abort();
    };
    const aborted = await minimize(bowl, START, { ...OPTIONS, signal: controller.signal, onStep });
    assert.deepEqual([aborted.stopped, aborted.steps], ['signal', 4]);
  });

  it('leaves the parameters unchanged by a step that it refuses', async () => {
    let calls = 0;
    const dies = (x: Float64Array): number => {
      if (++calls > 21) throw new Error('out of order');
      return bowl(x);
    };
    const result = await minimize(dies, START, OPTIONS);
    assert.equal(result.stopped, 'failures');
    assert.equal(result.steps, 3);
    assert.match(
      result.message,
      /^Step 3 was refused: There is no loss at the unperturbed point, query 3\.b: Error: out of order$/,
    );
    // Its last measured point is that of a run of two steps.
    assert.equal(pointOf(result), pointOf(await minimize(bowl, START, { ...OPTIONS, budget: { steps: 2 } })));
    await assert.rejects(
      minimize(
        () => {
          throw new Error('no box');
        },
        START,
        OPTIONS,
      ),
      { name: 'RefusedStepError', message: 'There is no loss at the unperturbed point, query 0.b: Error: no box' },
    );
  });

  it('ends with the best point where the parameters have grown beyond what mu moves', async () => {
    const result = await minimize(bowl, START, { ...OPTIONS, optimizer: sgd({ lr: 1e3 }), budget: { steps: 100 } });
    assert.equal(result.stopped, 'failures');
    assert.match(
      result.message,
      /^Step \d+ was refused: parameter \d is .*, which mu = 0\.0001 does not move: lower the/,
    );
    assert.deepEqual([...result.x], START);
    const far = minimize(bowl, [1e13, 0, 0], OPTIONS);
    await assert.rejects(far, /Expected mu to be large enough to move parameter 0 from 10000000000000/);
    await assert.rejects(
      minimize(bowl, START, { ...OPTIONS, budget: { evals: 3 } as never }),
      /^InvalidArgumentError: Unknown option "evals" in budget; known are evaluations, seconds, steps$/,
    );
  });

  it('goes half of the way back from a point that the box cannot take', () =>
    withFolder(async (folder) => {
      const asked: string[] = [];
      const loss = (x: Float64Array, { id }: { id: string }): number | { infeasible: string } => {
        asked.push(id);
        return x[0]! > 2 ? { infeasible: 'too far' } : (x[0]! - 3) ** 2 + (x[1]! + 1) ** 2;
      };
      const options = {
        ...OPTIONS,
        estimator: cge({ mu: 0.02 }),
        budget: { steps: 60 },
        journal: join(folder, 'journal'),
      };
      const bases: number[] = [];
      const onStep = ({ x }: { x: Float64Array }): unknown => bases.push(x[0]!);
      const result = await minimize(loss, [0, 0], { ...options, onStep });
      assert.equal(result.stopped, 'budget');
      assert.ok(result.x[0]! > 1.98 && result.x[0]! <= 2, String(result.x[0]));
      assert.ok(Math.abs(result.x[1]! + 1) < 0.02, String(result.x[1]));
      const outside = bases.findIndex((x) => x > 2);
      assert.ok(outside > 0 && asked.includes(`${outside + 1}.b`) && !asked.includes(`${outside + 1}.c0+`));
      const calls = asked.length;
      for (const parallel of [1, 3]) {
        const again = await minimize(loss, [0, 0], { ...options, parallel });
        assert.deepEqual([again.evaluations, bits(again.x), asked.length], [result.evaluations, bits(result.x), calls]);
      }
      await assert.rejects(
        minimize(loss, [3, 0], OPTIONS),
        /There is no loss at the unperturbed point, query 0\.b: too far/,
      );
      // With three at a time, those in flight beside the point were paid for.
      const wide = { ...options, parallel: 3, journal: join(folder, 'wide') };
      const first = await minimize(loss, [0, 0], wide);
      const second = await minimize(loss, [0, 0], wide);
      assert.ok(first.evaluations > result.evaluations);
      assert.deepEqual([second.evaluations, bits(second.x)], [first.evaluations, bits(result.x)]);
    }));

  it('stays within bounds, and on multiples of the resolution', async () => {
    const asked: number[][] = [];
    const loss = (x: Float64Array): number => (asked.push([...x]), bowl(x));
    const bounds = [
      [2, -3, -3],
      [3, 0.25, 3],
    ] as const;
    const { x } = await minimize(loss, START, { ...OPTIONS, bounds, resolution: 0.25, estimator: cge({ mu: 0.3 }) });
    assert.deepEqual([...x], [2, 0.25, 1]);
    for (const point of asked) {
      point.forEach((value, i) => {
        assert.ok(value >= bounds[0][i]! && value <= bounds[1][i]! && Number.isInteger(4 * value), point.join());
      });
    }
  });

  it('repeats queries, and reports the signal over the noise of each tensor', async () => {
    let calls = 0;
    // Antithetic noise of ±1: two repeats cancel it, and their variance is 1.
    const noisy = (x: Float64Array): number => bowl(x) + (++calls % 2 === 0 ? 1 : -1);
    const ratios: number[] = [];
    const { x } = await minimize(noisy, START, {
      ...OPTIONS,
      estimator: cge({ mu: 0.5, central: true }),
      repeats: 2,
      onStep: ({ signalToNoise }) => void ratios.push(signalToNoise!['x']!),
    });
    const quiet = await minimize(bowl, START, { ...OPTIONS, estimator: cge({ mu: 0.5, central: true }) });
    x.forEach((value, i) => {
      assert.ok(Math.abs(value - quiet.x[i]!) < 1e-12);
    });
    // Each slope is the difference of two means of variance 1, over 2·mu = 1.
    const slopes = START.map((value, i) => 2 * (i + 1) * (value - 1));
    assert.ok(Math.abs(ratios[0]! - Math.hypot(...slopes) / Math.sqrt(2 * 3)) < 1e-9, String(ratios[0]));
  });

  it('reports trials without a loss, and all evaluations of a step', async () => {
    const search = patternSearch({ radius: 0.3, queries: 6 });
    const made: number[] = [];
    const estimator = {
      ...search,
      async estimate(...context: Parameters<typeof search.estimate>) {
        const estimate = await search.estimate(...context);
        made.push(estimate.queries);
        return estimate;
      },
    };
    const unanswered: number[] = [];
    const loss = (x: Float64Array, { id }: { id: string }): number => (/t[25]\./.test(id) ? NaN : bowl(x));
    const { failed } = await minimize(loss, START, {
      ...{ estimator, optimizer: sgd({ lr: 1 }), budget: { steps: 2 }, repeats: 3, retries: 0 },
      onStep: (step) => unanswered.push(step.unanswered),
    });
    assert.deepEqual([unanswered, made, failed], [[2, 2], [21, 21], 12]);
  });

  it('refuses what it cannot do', async () => {
    const cases: [object, RegExp][] = [
      [{ budget: {} }, /Expected budget to be one of evaluations, seconds and steps at least/],
      [
        { budget: { evaluations: 7 } },
        /Expected budget\.evaluations to be at least 8, of a step and of the loss at its end/,
      ],
      [{ bounds: [0, 1] }, /Expected x0\[0\] to be from 0 to 1, its bounds, received 3/],
      [{ bounds: [1, 0] }, /Expected bounds to be low < high/],
      [{ bounds: [0] }, /Expected bounds to be \[low, high\]/],
      [{ resolution: -1 }, /Expected resolution to be finite and >= 0, received -1/],
      [{ estimator: cge({ mu: 1e-9 }), resolution: 0.5 }, /Expected mu to be large enough to move parameter 0 from 3/],
      [{ estimator: patternSearch({ radius: 1, queries: 2 }) }, /Expected optimizer to be /],
      [{ estimater: 1 }, /Unknown option "estimater" in minimize; did you mean "estimator"\?/],
    ];
    for (const [options, message] of cases) {
      await assert.rejects(minimize(bowl, START, { ...OPTIONS, ...options }), {
        name: 'InvalidArgumentError',
        message,
      });
    }
    const starts: [unknown, RegExp][] = [
      [[], /Expected x0 to be a list with at least one number/],
      [{}, /Expected x0 to be a list of numbers or an object of tensors/],
      [3, /Expected x0 to be a list of numbers or an object of tensors, received 3/],
      [[1, NaN], /Expected x0\[1\] to be a finite number, received NaN/],
      [{ w: [[1, 2], [3]] }, /Expected x0\.w\[1\] to be of the shape of x0\.w\[0\], \[2\]/],
    ];
    for (const [start, message] of starts) await assert.rejects(minimize(bowl, start as never, OPTIONS), message);
  });
});

describe('a journal', () => {
  it('asks again only for what is missing, to the same bits', () =>
    withFolder(async (folder) => {
      const journal = join(folder, 'answers.jsonl');
      let calls = 0;
      const loss = (x: Float64Array): number => (calls++, bowl(x));
      const whole = await minimize(loss, START, { ...OPTIONS, journal });
      assert.equal(calls, 71);
      const lines = (await readFile(journal, 'utf8')).trimEnd().split('\n');
      assert.equal(lines.length, 72);
      for (const kept of [72, 40, 9, 1]) {
        await writeFile(journal, `${lines.slice(0, kept).join('\n')}\n`);
        // What a kill leaves of the next line.
        if (kept < 72) await appendFile(journal, lines[kept]!.slice(0, 9));
        calls = 0;
        const rest = await minimize(loss, START, { ...OPTIONS, journal });
        assert.equal(calls, 72 - kept);
        assert.deepEqual(rest, whole);
        assert.deepEqual((await readFile(journal, 'utf8')).trimEnd().split('\n'), lines);
      }
      calls = 0;
      await minimize(loss, START, { ...OPTIONS, budget: { steps: 11 }, journal });
      assert.equal(calls, 7);
    }));

  it('is refused by a run with other options, or another loss', () =>
    withFolder(async (folder) => {
      const journal = join(folder, 'answers.jsonl');
      await minimize(bowl, START, { ...OPTIONS, journal });
      await assert.rejects(minimize(bowl, START, { ...OPTIONS, seed: 1, journal }), {
        name: 'FileError',
        message: /answers\.jsonl: expected seed to be 0, as in the run that wrote it, received 1/,
      });
      await assert.rejects(minimize(bowl, [1, 2, 3], { ...OPTIONS, journal }), /expected x0 to be /);
      const optimizer = sgd({ lr: { config: OPTIONS.optimizer.lr.config, at: () => 0.2 } });
      await assert.rejects(minimize(bowl, START, { ...OPTIONS, optimizer, journal }), /had another point at step 1/);
      await writeFile(journal, 'x\n');
      await assert.rejects(minimize(bowl, START, { ...OPTIONS, journal }), /is not JSON/);
    }));
});

describe('ask and tell', () => {
  it('yields equal bits whatever the order of the answers', async () => {
    const run = async (order: (ids: string[]) => string[]): Promise<string> => {
      const search = await Search.open(START, OPTIONS);
      for (;;) {
        const queries = await search.ask(100);
        if (queries.length === 0) break;
        const points = new Map(queries.map((query) => [query.id, query.point()]));
        for (const id of order([...points.keys()])) search.tell(id, bowl(points.get(id)!));
      }
      return pointOf(await search.result);
    };
    const forwards = await run((ids) => ids);
    assert.equal(await run((ids) => ids.reverse()), forwards);
    assert.equal(await run((ids) => ids.sort((a, b) => a.length - b.length || (a < b ? 1 : -1))), forwards);
    assert.equal(pointOf(await minimize(bowl, START, OPTIONS)), forwards);
  });

  it('asks again for a failure, leaves an infeasible point out, and counts both', async () => {
    const search = await Search.open(START, { ...OPTIONS, retries: 1, budget: { steps: 1 } });
    const first = await search.ask(100);
    assert.deepEqual(
      first.map(({ id }) => id),
      ['0.b', '0.c0+', '0.c0-', '0.c1+', '0.c1-', '0.c2+', '0.c2-'],
    );
    assert.deepEqual(await search.ask(), []);
    for (const query of first.slice(0, 5)) search.tell(query.id, bowl(query.point()));
    search.tell('0.c2+', { failed: 'no connection' });
    search.tell('0.c2-', { infeasible: 'too hot' });
    assert.deepEqual(
      (await search.ask(9)).map(({ id }) => id),
      ['0.c2+'],
    );
    search.tell('0.c2+', { failed: 'no connection' });
    const [last] = await search.ask(9);
    assert.equal(last!.id, '1.b');
    assert.equal(last!.base[2], START[2]);
    assert.deepEqual(search.state().failed, 3);
    search.tell('1.b', 1);
    assert.deepEqual(await search.ask(), []);
    assert.equal((await search.result).failed, 3);
  });

  it('refuses an answer that it did not ask for, twice or of no kind', async () => {
    const search = await Search.open(START, OPTIONS);
    const [query] = await search.ask();
    const unknown = /Expected the id of a query that was asked for and has no answer yet, received "0\.c0\+"/;
    assert.throws(() => {
      search.tell('0.c0+', 1);
    }, unknown);
    for (const answer of ['1', null, undefined, {}, { failed: 1 }]) {
      assert.throws(() => {
        search.tell(query!.id, answer as never);
      }, /Expected the answer to be a loss, \{ failed: reason \} or/);
    }
    search.tell(query!.id, 1);
    assert.throws(() => {
      search.tell(query!.id, 1);
    }, /has no answer yet, received "0\.b"/);
    assert.throws(() => {
      search.tell(Float64Array.of(1, 2, 3) as never, 1);
    }, /cannot use losses of points that they did not ask for/);
    search.close();
    await assert.rejects(search.result, /The run was closed/);
  });

  it('rejects where it is closed right after the answers of a step, and leaves nothing', () =>
    leavingNothing(async () => {
      const { signal } = new AbortController();
      const search = await Search.open(START, { ...OPTIONS, budget: { seconds: 1000 }, signal });
      for (const query of await search.ask(100)) search.tell(query.id, bowl(query.point()));
      search.close();
      await assert.rejects(search.result, /The run was closed/);
      assert.deepEqual(getEventListeners(signal, 'abort'), []);
    }));
});
