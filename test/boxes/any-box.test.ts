import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { anyBox } from '../../lib/boxes/any-box.js';
import type { Box } from '../../lib/boxes/box.js';
import { functionBox } from '../../lib/boxes/box.js';
import { serve } from '../../lib/boxes/serve.js';
import { Exchange } from '../../lib/objectives/exchange.js';
import type { Answer } from '../../lib/objectives/query.js';
import { cge } from '../../lib/estimators/cge.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { MinimizeOptions } from '../../lib/training/minimize.js';
import { minimize } from '../../lib/training/minimize.js';
import type { MinimizeResult } from '../../lib/training/search-options.js';
import { call, dead, idsOf, living, manual } from '../helpers/boxes.js';
import type { Manual } from '../helpers/boxes.js';
import { clientLoss } from '../helpers/clients.js';
import { queriesOf, queryOf } from '../helpers/queries.js';
import { leavingNothing } from '../helpers/resources.js';

const START = [3, -1, 0.5];
const OPTIONS: MinimizeOptions = {
  estimator: cge({ mu: 1e-3, central: true }),
  optimizer: sgd({ lr: 0.1 }),
  budget: { steps: 3 },
};

/** Lets time pass until a promise is settled. */
async function passing<T>(promise: Promise<T>): Promise<T> {
  const pass = setInterval(() => {
    mock.timers.tick(1000);
  }, 1);
  try {
    return await promise;
  } finally {
    clearInterval(pass);
  }
}

describe('anyBox', () => {
  let whole: MinimizeResult;
  before(async () => {
    whole = await minimize(clientLoss, START, OPTIONS);
  });
  // Rests end when a test says so.
  beforeEach(() => {
    mock.timers.enable({ apis: ['setTimeout'] });
  });
  afterEach(() => {
    mock.timers.reset();
  });

  it('asks the box with the largest free part, none beyond its calls, and who waits in turn', async () => {
    const [small, large] = [manual(), manual({ parallel: 3, batch: 5 })];
    const box = anyBox([small, large]);
    assert.deepEqual([box.parallel, box.batch], [4, 1]);
    for (let id = 0; id < 7; id++) await call(box, id);
    assert.deepEqual(idsOf(small, large), [['0'], ['1', '2', '3']]);
    await large.calls[1]!.answer([1]);
    await small.calls[0]!.answer([1]);
    assert.deepEqual(idsOf(small, large), [
      ['0', '5'],
      ['1', '2', '3', '4'],
    ]);
    for (const { answer } of [...small.calls, ...large.calls]) await answer([1]);
    // The smaller one answered first.
    assert.deepEqual(idsOf(small, large), [
      ['0', '5', '6'],
      ['1', '2', '3', '4'],
    ]);
  });

  it('yields the bits of one box, from boxes of different sizes', async () => {
    const batches: number[][] = [[], []];
    const boxes = [
      { parallel: 3, batch: 2 },
      { parallel: 1, batch: 4 },
    ].map((sizes, i): Box => {
      const { box } = living();
      return {
        ...sizes,
        answer: (queries, context) => {
          batches[i]!.push(queries.length);
          return box.answer(queries, context);
        },
      };
    });
    assert.deepEqual(await minimize(anyBox(boxes), START, OPTIONS), whole);
    for (const sizes of batches) assert.equal(Math.max(...sizes), 2);
    // `parallel` makes fewer calls at a time, or no more than the boxes take.
    for (const parallel of [1, 100]) {
      const one = living();
      assert.deepEqual(await minimize(anyBox([one.box, living().box]), START, { ...OPTIONS, parallel }), whole);
      assert.ok(one.asked.length > 0);
    }
  });

  it('asks a dead box once until its rest ends, and each query there once', async () => {
    for (const parallel of [1, 3]) {
      const [broken, works] = [dead(parallel), living()];
      const result = await minimize(anyBox([broken.box, works.box]), START, OPTIONS);
      assert.deepEqual([broken.asked.length, new Set(broken.asked).size], [parallel, parallel]);
      assert.deepEqual(result, { ...whole, failed: parallel, evaluations: whole.evaluations + parallel });
    }
  });

  it('loses no query where most boxes are dead, however slow the living one is', async () => {
    const slow = functionBox(async (x) => {
      await new Promise((resolve) => setTimeout(resolve, 30_000));
      return clientLoss(x);
    });
    const broken = [dead(), dead(), dead()];
    const boxes = [...broken.map(({ box }) => box), slow];
    const result = await passing(minimize(anyBox(boxes), START, { ...OPTIONS, timeout: 40 }));
    const asked = broken.flatMap((box) => box.asked);
    assert.ok(asked.length > 10);
    assert.deepEqual(result, { ...whole, failed: asked.length, evaluations: whole.evaluations + asked.length });
  });

  it('ends as with one dead box where all are dead', async () => {
    const message = 'There is no loss at the unperturbed point, query 0.b: Error: out of order';
    await assert.rejects(minimize(dead().box, START, OPTIONS), { name: 'RefusedStepError', message });
    const boxes = [dead(), dead(2)];
    const run = passing(minimize(anyBox(boxes.map(({ box }) => box)), START, OPTIONS));
    await assert.rejects(run, { name: 'RefusedStepError', message });
    const asked = boxes.flatMap((box) => box.asked);
    assert.equal(asked.filter((id) => id === '0.b').length, 3);
    assert.ok(asked.length <= 9, `${asked.length} calls`);
  });

  it('rests for 1 s, twice as long after each failure, at most 60 s, until a success', async () => {
    const [busy, broken] = [manual(), manual()];
    const box = anyBox([busy, broken]);
    await call(box, 0);
    await call(box, 1);
    for (const rest of [1, 2, 4, 8, 16, 32, 60, 60, 'success', 1, 2]) {
      const asked = broken.calls.length;
      const last = broken.calls.at(-1)!;
      await (rest === 'success' ? last.answer([1]) : last.fail());
      await call(box, 1 + asked);
      if (rest !== 'success') {
        mock.timers.tick(1000 * (rest as number) - 1);
        await nextTurn();
        assert.equal(broken.calls.length, asked);
        mock.timers.tick(1);
        await nextTurn();
      }
      assert.equal(broken.calls.length, asked + 1);
    }
    assert.equal(busy.calls.length, 1);
    await box.close!();
  });

  it('does not count failures of calls that began before a rest', async () => {
    const [busy, broken] = [manual(), manual({ parallel: 4 })];
    const box = anyBox([busy, broken]);
    for (let id = 0; id < 5; id++) await call(box, id);
    const [first, second, third, fourth] = broken.calls;
    await first!.fail();
    await second!.fail();
    await call(box, 5);
    mock.timers.tick(1000);
    await nextTurn();
    assert.deepEqual(broken.calls.at(-1)!.ids, ['5']);
    await third!.fail();
    // The trial's failure is the second in a row; a late success of another ends the rest.
    await broken.calls.at(-1)!.fail();
    await call(box, 6);
    mock.timers.tick(1999);
    await nextTurn();
    assert.equal(broken.calls.length, 5);
    await fourth!.answer([1]);
    assert.deepEqual(broken.calls.at(-1)!.ids, ['6']);
    mock.timers.tick(2000);
    for (const id of [7, 8, 9]) await call(box, id);
    assert.deepEqual(broken.calls.at(-1)!.ids, ['9']);
  });

  it('tries a box by one call after its rest, by as many as it takes after a success', async () => {
    const [busy, broken] = [manual(), manual({ parallel: 3 })];
    const box = anyBox([busy, broken]);
    for (let id = 0; id < 4; id++) await call(box, id);
    for (const { fail } of broken.calls.slice()) await fail();
    for (let id = 4; id < 8; id++) await call(box, id);
    mock.timers.tick(1000);
    await nextTurn();
    assert.deepEqual(idsOf(busy, broken), [['0'], ['1', '2', '3', '4']]);
    await broken.calls.at(-1)!.answer([1]);
    assert.deepEqual(idsOf(broken), [['1', '2', '3', '4', '5', '6', '7']]);
  });

  it('makes the last attempt at a query where a box works, if one does', async () => {
    const [works, broken] = [manual(), manual()];
    const box = anyBox([works, broken]);
    for (let id = 0; id < 2; id++) await call(box, id);
    await broken.calls[0]!.fail();
    await call(box, 2, { lastAttempt: true });
    mock.timers.tick(1000);
    await nextTurn();
    assert.deepEqual(idsOf(works, broken), [['0'], ['1']]);
    await call(box, 3);
    assert.deepEqual(idsOf(works, broken), [['0'], ['1', '3']]);
    await works.calls[0]!.answer([1]);
    assert.deepEqual(idsOf(works, broken), [
      ['0', '2'],
      ['1', '3'],
    ]);
    for (const { fail } of [...broken.calls, ...works.calls]) await fail();
    // Now none works; the first rest to end is that of `works`, its first.
    await call(box, 4, { lastAttempt: true });
    mock.timers.tick(1000);
    await nextTurn();
    assert.deepEqual(idsOf(works, broken), [
      ['0', '2', '4'],
      ['1', '3'],
    ]);
    await box.close!();
  });

  it('takes a box for dead by what it answers: failures alone, whatever they are', async () => {
    const failed = { failed: 'no light' };
    const cases: [isDead: boolean, answer: () => unknown][] = [
      [false, () => [{ infeasible: 'too hot' }, { infeasible: 'too hot' }]],
      [false, () => [failed, 1]],
      [true, () => [failed, NaN]],
      [true, () => [1]],
      [true, () => assert.fail('broken')],
      [true, () => Promise.reject(new Error('broken'))],
    ];
    for (const [isDead, answer] of cases) {
      const other = manual({ batch: 2 });
      const box = anyBox([{ batch: 2, answer: answer as Box['answer'] }, other]);
      const ask = (): Promise<readonly Answer[]> => box.answer(queriesOf(2), new AbortController());
      const [first] = await Promise.allSettled([ask()]);
      void ask();
      await nextTurn();
      assert.equal(other.calls.length, isDead ? 1 : 0, String(answer));
      // One box alone answers the same.
      const [alone] = await Promise.allSettled([
        new Promise((resolve) => {
          resolve(answer());
        }),
      ]);
      if (alone.status === 'rejected') assert.deepEqual(String((first as typeof alone).reason), String(alone.reason));
      await box.close!();
    }
  });

  it('takes a box that is out of time for dead, not one whose call is given up', async () => {
    for (const [name, isDead] of [
      ['TimeoutError', true],
      ['Error', false],
    ] as const) {
      const [one, other] = [manual(), manual()];
      const box = anyBox([one, other]);
      const controller = new AbortController();
      await call(box, 0, { signal: controller.signal });
      controller.abort(Object.assign(new Error('no more'), { name }));
      assert.ok(one.calls[0]!.signal.aborted);
      // Its place is free though it never answers.
      await call(box, 1);
      assert.deepEqual(idsOf(one, other), isDead ? [['0'], ['1']] : [['0', '1'], []]);
      // An answer that comes later does not free it again.
      await one.calls[0]!.answer([1]);
      await call(box, 2);
      assert.deepEqual(idsOf(one, other), isDead ? [['0'], ['1']] : [['0', '1'], ['2']]);
      await box.close!();
    }
  });

  it('tries a box again at once where the call that was its trial is given up', async () => {
    const [busy, broken] = [manual(), manual()];
    const box = anyBox([busy, broken]);
    for (let id = 0; id < 2; id++) await call(box, id);
    await broken.calls[0]!.fail();
    mock.timers.tick(1000);
    const controller = new AbortController();
    await call(box, 2, { signal: controller.signal });
    controller.abort(new Error('no more'));
    await call(box, 3);
    assert.deepEqual(idsOf(broken), [['1', '2', '3']]);
  });

  it('does not count the time in which a call waits', async () => {
    const box = manual();
    const exchange = new Exchange({ retries: 0, limit: Infinity });
    const served = serve(exchange, { ...anyBox([box]), parallel: 2 }, 10);
    const outcomes = exchange.post(queriesOf(2));
    await nextTurn();
    for (const number of [0, 1]) {
      mock.timers.tick(9000);
      await nextTurn();
      assert.equal(box.calls.length, number + 1);
      await box.calls[number]!.answer([number]);
    }
    assert.deepEqual(await outcomes, [0, 1]);
    exchange.close();
    await served;
  });

  it('ends the waiting when it is aborted: for a place, and for the end of a rest', async () => {
    for (const how of ['is busy', 'rests']) {
      const one = manual();
      const box = anyBox([one]);
      await call(box, 0);
      if (how === 'rests') await one.calls[0]!.fail();
      const controller = new AbortController();
      const waiting = box.answer([queryOf('1')], controller);
      await nextTurn();
      controller.abort(new Error('enough'));
      await assert.rejects(waiting, /^Error: enough$/);
      await assert.rejects(box.answer([queryOf('2')], controller), /^Error: enough$/);
      await one.calls[0]!.answer([1]);
      mock.timers.tick(1000);
      await call(box, 3);
      assert.deepEqual(idsOf(one), [['0', '3']]);
      await box.close!();
    }
  });

  it('asks nothing where a call is aborted as its box becomes free', async () => {
    const one = manual();
    const box = anyBox([one]);
    await call(box, 0);
    const controller = new AbortController();
    const untimed = async <T>(wait: Promise<T>): Promise<T> => {
      const place = await wait;
      controller.abort(new Error('enough'));
      return place;
    };
    const refused = assert.rejects(
      box.answer([queryOf('1')], { signal: controller.signal, untimed }),
      /^Error: enough$/,
    );
    await one.calls[0]!.answer([1]);
    await refused;
    // Nor does it count as a failure of the box.
    await call(box, 2);
    assert.deepEqual(idsOf(one), [['0', '2']]);
  });

  it('ends with the run while all boxes rest, and leaves no timer', async () => {
    mock.timers.reset();
    await leavingNothing(async () => {
      const controller = new AbortController();
      const boxes = [dead(), dead()];
      const run = minimize(anyBox(boxes.map(({ box }) => box)), START, { ...OPTIONS, signal: controller.signal });
      while (boxes.some(({ asked }) => asked.length === 0)) await nextTurn();
      controller.abort();
      assert.equal((await run).stopped, 'signal');
    });
  });

  it('closes all boxes, even if one throws, and forgets their failures', async () => {
    const boxes = [manual(), manual({ close: () => assert.fail('stuck') }), manual(), {} as Manual];
    boxes[3] = manual();
    delete (boxes[3] as Partial<Manual>).close;
    const box = anyBox(boxes);
    for (let id = 0; id < 4; id++) await call(box, id);
    for (const { calls } of boxes) await calls[0]!.fail();
    await assert.rejects(async () => box.close!(), /stuck/);
    assert.deepEqual([boxes[0]!.closed, boxes[2]!.closed], [1, 1]);
    await call(box, 4);
    assert.deepEqual(boxes[0]!.calls.at(-1)!.ids, ['4']);
  });

  it('refuses what are no boxes', () => {
    const { box } = living();
    const cases: [unknown, RegExp][] = [
      [[], /^Expected boxes to be a non-empty list of boxes, received \[\]$/],
      [box, /^Expected boxes to be a non-empty list of boxes, received an object$/],
      [[box, clientLoss], /^Expected boxes\[1\] to be a box, received a function$/],
      [[box, { ...box, parallel: 0 }], /^Expected boxes\[1\]\.parallel to be an integer >= 1, received 0$/],
      [[{ ...box, batch: 1.5 }], /^Expected boxes\[0\]\.batch to be an integer >= 1, received 1\.5$/],
    ];
    for (const [boxes, message] of cases) {
      assert.throws(() => anyBox(boxes as Box[]), { name: 'InvalidArgumentError', message });
    }
  });
});
