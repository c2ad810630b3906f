import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Box } from '../../lib/boxes/box.js';
import { functionBox } from '../../lib/boxes/box.js';
import { serve } from '../../lib/boxes/serve.js';
import { Exchange } from '../../lib/objectives/exchange.js';
import type { Answer } from '../../lib/objectives/query.js';
import { cge } from '../../lib/estimators/cge.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { minimize } from '../../lib/training/minimize.js';
import { queriesOf } from '../helpers/queries.js';

interface Served {
  outcomes: readonly (Answer | undefined)[];
  exchange: Exchange;
}

/** The outcomes of queries that a box is asked until all have one. */
async function asked(box: Box, { count = 1, retries = 0, timeout = Infinity } = {}): Promise<Served> {
  const exchange = new Exchange({ retries, limit: Infinity });
  const served = serve(exchange, box, timeout);
  const outcomes = await exchange.post(queriesOf(count));
  exchange.close();
  await served;
  return { outcomes, exchange };
}

const never = (): Promise<never> => new Promise(() => undefined);

/** The timers that keep the process alive, mocha's included. */
async function timers(): Promise<number> {
  await nextTurn();
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

describe('serve', () => {
  it('makes a failure of whatever is no answer', async () => {
    let nested: unknown = [];
    for (let i = 0; i < 100_000; i++) nested = [nested];
    const cases: [() => unknown, string][] = [
      [() => assert.fail('broken'), 'AssertionError: broken'],
      [() => Promise.reject(new Error('broken')), 'Error: broken'],
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whatever a box does
      [() => Promise.reject('broken'), '"broken"'],
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- an object that no text can be made of
      [() => Promise.reject(Object.create(null)), 'an object'],
      [() => undefined, 'expected a list of 1 from the box, received undefined'],
      [() => [1, 2], 'expected a list of 1 from the box, received [1, 2]'],
      [() => [NaN], 'the loss is NaN'],
      [() => [-Infinity], 'the loss is -Infinity'],
      [() => ['1'], 'the answer is "1", not a number'],
      [() => [{ failed: 1 }], 'the answer is an object, not a number'],
      [() => [nested], 'the answer is [[[an array of 1]]], not a number'],
    ];
    for (const [answer, failed] of cases) {
      const { outcomes } = await asked({ answer: answer as Box['answer'] });
      assert.deepEqual(outcomes, [{ failed }]);
    }
    const infeasible = [{ infeasible: 'too hot' }];
    assert.deepEqual((await asked({ answer: () => Promise.resolve(infeasible) })).outcomes, infeasible);
  });

  it('makes as many calls at a time as the box takes, of as many queries', async () => {
    let [calls, most] = [0, 0];
    const sizes: number[] = [];
    let open = (): void => undefined;
    const together = new Promise<void>((resolve) => (open = resolve));
    const box: Box = {
      parallel: 3,
      batch: 2,
      async answer(queries) {
        sizes.push(queries.length);
        most = Math.max(most, ++calls);
        // The first three calls wait for each other.
        if (calls === 3) open();
        await together;
        calls -= 1;
        return queries.map((query) => query.point()[0]!);
      },
    };
    const { outcomes } = await asked(box, { count: 11 });
    assert.deepEqual(outcomes, [...Array(11).keys()]);
    assert.equal(most, 3);
    assert.deepEqual(sizes, [2, 2, 2, 2, 2, 1]);
  });

  it('ends a call after the timeout, and asks again', async () => {
    const before = await timers();
    const reasons: unknown[] = [];
    let calls = 0;
    const loss = (_: Float64Array, { signal }: { signal: AbortSignal }): number | Promise<never> => {
      if (++calls > 1) return 5;
      signal.addEventListener('abort', () => reasons.push(signal.reason));
      return never();
    };
    const { outcomes, exchange } = await asked(functionBox(loss), { retries: 1, timeout: 0.01 });
    assert.deepEqual(outcomes, [5]);
    assert.deepEqual(exchange.counts, { evaluations: 2, failed: 1 });
    assert.deepEqual(reasons.map(String), ['TimeoutError: no answer within 0.01 s']);
    assert.equal(await timers(), before);
  });

  it('has a failure say what the box says about a timeout, not a loss that comes too late', async () => {
    const onAbort = (answer: (done: (value: never) => void) => void): Box => ({
      answer: (_, { signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            answer(resolve);
          });
        }),
    });
    const cases: [unknown, string][] = [
      [[{ failed: 'killed; its last words' }], 'killed; its last words'],
      [[7], 'no answer within 0.01 s'],
      [new Error('aborted'), 'Error: aborted'],
    ];
    for (const [answer, reason] of cases) {
      const box = onAbort((resolve) => {
        resolve((answer instanceof Error ? Promise.reject(answer) : answer) as never);
      });
      assert.deepEqual((await asked(box, { timeout: 0.01 })).outcomes, [{ failed: reason }]);
    }
    // A box that goes on in silence.
    assert.deepEqual((await asked({ answer: never }, { timeout: 0.01 })).outcomes, [
      { failed: 'no answer within 0.01 s' },
    ]);
  });

  it('says which attempt at a query is the last of several', async () => {
    for (const [retries, lasts] of [
      [2, [false, false, true]],
      [0, [false]],
    ] as const) {
      const told: unknown[] = [];
      const answer: Box['answer'] = (_, { lastAttempt }) => {
        told.push(lastAttempt);
        throw new Error('dead');
      };
      await asked({ answer }, { retries });
      assert.deepEqual(told, lasts);
    }
  });

  it('takes no notice of a function that fails after its time', async () => {
    const unhandled: unknown[] = [];
    const listen = (error: unknown): void => void unhandled.push(error);
    process.on('unhandledRejection', listen);
    try {
      let fail = (): void => undefined;
      const loss = (): Promise<number> =>
        new Promise((_, reject) => {
          fail = () => {
            reject(new Error('late'));
          };
        });
      await asked(functionBox(loss), { timeout: 0.01 });
      fail();
      await nextTurn();
      assert.deepEqual(unhandled, []);
    } finally {
      process.off('unhandledRejection', listen);
    }
  });

  it('ends at once with calls in flight, which are told so', async () => {
    const before = await timers();
    const warnings: Error[] = [];
    const warn = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warn);
    const signals: AbortSignal[] = [];
    const box: Box = {
      parallel: 30,
      answer: (_, { signal }) => {
        signals.push(signal);
        return never();
      },
    };
    const exchange = new Exchange({ retries: 0, limit: Infinity });
    const served = serve(exchange, box, 1e6);
    const outcomes = exchange.post(queriesOf(30));
    while (signals.length < 30) await nextTurn();
    exchange.fail(new Error('enough'));
    await assert.rejects(outcomes, /enough/);
    assert.ok(signals.every(({ aborted }) => aborted));
    exchange.close();
    await served;
    assert.deepEqual(exchange.counts, { evaluations: 30, failed: 0 });
    assert.equal(await timers(), before);
    process.off('warning', warn);
    assert.deepEqual(warnings, []);
  });
});

describe('minimize over a box', () => {
  const START = [3, -1, 0.5];
  const options = {
    estimator: cge({ mu: 1e-3 }),
    optimizer: sgd({ lr: 0.1 }),
    budget: { steps: 3 },
  };

  it('ends when it is aborted or out of time, though the function never does', async () => {
    for (const parallel of [1, 3]) {
      const controller = new AbortController();
      const hangs = (): Promise<never> => {
        controller.abort();
        return never();
      };
      const aborted = await minimize(hangs, START, { ...options, parallel, signal: controller.signal });
      assert.equal(aborted.stopped, 'signal');
      const late = await minimize(never, START, { ...options, parallel, budget: { seconds: 0.01 } });
      assert.equal(late.stopped, 'budget');
    }
  });

  it('ends when a callback throws, and closes the box', async () => {
    let closed = 0;
    const box: Box = {
      parallel: 2,
      answer: () => Promise.resolve([1]),
      close: () => {
        closed++;
      },
    };
    const onStep = (): never => assert.fail('no more');
    await assert.rejects(minimize(box, START, { ...options, onStep }), /no more/);
    await assert.rejects(minimize(box, START, { ...options, budget: {} }), /Expected budget/);
    assert.equal(closed, 2);
  });

  it('ends the calls beside a point that the box cannot take', async () => {
    const reasons: string[] = [];
    const box: Box = {
      parallel: 3,
      async answer([query], { signal }) {
        const { id, base } = query!;
        if (base[0]! > 2 && !id.endsWith('.b')) {
          signal.addEventListener('abort', () => reasons.push((signal.reason as Error).message));
          return never();
        }
        const [a, b] = query!.point();
        return Promise.resolve([a! > 2 ? { infeasible: 'too far' } : (a! - 3) ** 2 + b! ** 2]);
      },
    };
    const { stopped } = await minimize(box, [0, 1], { ...options, budget: { steps: 20 } });
    assert.equal(stopped, 'budget');
    assert.ok(reasons.length > 1);
    assert.deepEqual(new Set(reasons), new Set(['The step was given up']));
  });

  it('stops soon where there is no loss at the base point', async () => {
    let calls = 0;
    const dead: Box = {
      parallel: 2,
      answer() {
        calls += 1;
        throw new Error('dead');
      },
    };
    await assert.rejects(
      minimize(dead, new Float64Array(1000), options),
      /There is no loss at the unperturbed point, query 0\.b: Error: dead/,
    );
    assert.ok(calls <= 6, `${calls} calls`);
  });

  it('takes what a class says of its boxes', async () => {
    class Chip {
      readonly #losses: number[] = [];
      get batch(): number {
        return 2;
      }
      answer(queries: readonly { point(): Float64Array }[]): Promise<number[]> {
        this.#losses.push(queries.length);
        return Promise.resolve(queries.map((query) => query.point()[0]! ** 2));
      }
      get sizes(): number[] {
        return this.#losses;
      }
    }
    const chip = new Chip();
    await minimize(chip, START, { ...options, parallel: 1, budget: { steps: 1 } });
    assert.deepEqual(chip.sizes, [2, 2, 1]);
  });

  it('refuses a box without lanes', async () => {
    const answer = (): Promise<number[]> => Promise.resolve([1]);
    for (const [box, message] of [
      [{ answer, parallel: 0 }, /Expected the box's parallel to be an integer >= 1, received 0/],
      [{ answer, batch: 1.5 }, /Expected the box's batch to be an integer >= 1, received 1.5/],
      [{}, /Expected the loss to be a function or a box, received an object/],
    ] as const) {
      await assert.rejects(minimize(box as Box, START, options), message);
    }
  });
});
