import assert from 'node:assert/strict';
import { Messages, parseMessage, readAnswer } from '../../lib/boxes/messages.js';
import type { Box } from '../../lib/boxes/box.js';
import { cge } from '../../lib/estimators/cge.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { rge } from '../../lib/estimators/rge.js';
import { direction } from '../../lib/objectives/directions.js';
import type { Query } from '../../lib/objectives/query.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import type { MinimizeOptions } from '../../lib/training/minimize.js';
import { minimize } from '../../lib/training/minimize.js';
import { bits } from '../helpers/tiny.js';

const START = { w: [[3, -1]], b: [0.5] };

/** The queries of a run of two steps. */
async function queriesOf(options: Partial<MinimizeOptions>): Promise<Query[]> {
  const queries: Query[] = [];
  const box: Box = {
    batch: 3,
    answer(asked) {
      queries.push(...asked);
      return Promise.resolve(asked.map((query) => query.point().reduce((sum, value) => sum + (value - 1) ** 2)));
    },
  };
  const estimator = cge({ mu: 0.1, central: true });
  await minimize(box, START, { estimator, optimizer: sgd({ lr: 0.1 }), budget: { steps: 2 }, ...options });
  return queries;
}

interface Sent {
  id: string;
  step: number;
  sample: unknown;
  base: number;
  x?: number[];
  set?: [number, number][];
  direction?: NonNullable<Query['direction']>;
}

/** The query's message, and its base point's if it has one, as JSON carries them. */
function sentBy(messages: Messages, query: Query): { sent: Sent; base?: { base: number; x: number[] } } {
  const parts = { sent: messages.query(query), base: messages.base(query) };
  return JSON.parse(JSON.stringify(parts)) as ReturnType<typeof sentBy>;
}

describe('messages', () => {
  const directional = { estimator: rge({ mu: 0.1, queries: 2, perTensor: true, distribution: 'sphere' }) } as const;

  it('have the whole point, and the number of its base point', async () => {
    const messages = new Messages('point');
    for (const query of await queriesOf({ sample: (step) => ({ seed: step }) })) {
      const { sent, base } = sentBy(messages, query);
      const { id, step } = query;
      assert.deepEqual(sent, { id, step, sample: { seed: step }, base: step, x: [...query.point()] });
      assert.equal(base, undefined);
    }
  });

  it('have the entries that differ from a base point, or all where a direction changes them', async () => {
    const messages = new Messages('changes');
    const bases = new Set<number>();
    const queries = await queriesOf({});
    assert.equal(queries.length, 15);
    for (const query of queries) {
      const { sent, base } = sentBy(messages, query);
      assert.deepEqual([sent.x, sent.direction, base!.base], [undefined, undefined, sent.base]);
      bases.add(base!.base);
      const point = Float64Array.from(base!.x);
      for (const [i, value] of sent.set!) point[i] = value;
      assert.equal(bits(point), bits(query.point()));
      assert.equal(sent.set!.length, query.id.endsWith('b') ? 0 : 1);
    }
    assert.deepEqual([...bases], [0, 1, 2]);
    // Of a second run, whose base points are others.
    assert.equal(messages.base((await queriesOf({}))[0]!)!.base, 3);
    for (const query of await queriesOf(directional)) {
      const { sent, base } = sentBy(messages, query);
      if (query.direction) assert.deepEqual([sent.x, base], [[...query.point()], undefined]);
      else assert.deepEqual([sent.set, base!.x], [[], [...query.base]]);
    }
  });

  it('have the seed of a direction, or the whole point where bounds or a resolution round it', async () => {
    const messages = new Messages('seed');
    let count = 0;
    for (const query of await queriesOf(directional)) {
      const { sent, base } = sentBy(messages, query);
      if (!sent.direction) continue;
      count += 1;
      assert.equal(sent.direction.stream, 5);
      const draw = { ...sent.direction, stream: 'directions' as const };
      const move = direction(query.tensors, draw, draw.query);
      assert.equal(bits(Float64Array.from(base!.x, (value, i) => value + draw.mu * move[i]!)), bits(query.point()));
    }
    assert.equal(count, 4);
    for (const limits of [{ bounds: [-9, 9] }, { resolution: 1 / 64 }] as const) {
      for (const query of await queriesOf({ ...directional, ...limits })) {
        const { sent } = sentBy(messages, query);
        assert.deepEqual(sent.x, query.direction && [...query.point()]);
      }
    }
  });

  it('have a base point for every point of a pattern search', async () => {
    const messages = new Messages('changes');
    const options = { estimator: patternSearch({ radius: 0.3, queries: 3 }), optimizer: sgd({ lr: 1 }) };
    for (const query of await queriesOf(options)) {
      const { sent, base } = sentBy(messages, query);
      assert.deepEqual([sent.set, base?.x], [[], [...query.point()]]);
    }
  });

  it('begin with what is the same for all', async () => {
    const [query] = await queriesOf({});
    assert.deepEqual(new Messages('seed').greeting(query!), {
      deepzero: 1,
      send: 'seed',
      tensors: [
        { name: 'w', shape: [1, 2], offset: 0, size: 2 },
        { name: 'b', shape: [1], offset: 2, size: 1 },
      ],
    });
  });
});

describe('answers', () => {
  it('are a loss or a reason, which is shortened', () => {
    const cases: [string, unknown][] = [
      ['{"id":"a","loss":-1.5e-3}', -1.5e-3],
      ['{"id":"a","loss":1,"seconds":3}', 1],
      ['{"id":"a","failed":"no \\"NaN\\" here"}', { failed: 'no "NaN" here' }],
      ['{"id":"a","infeasible":"hot"}', { infeasible: 'hot' }],
      [`{"id":"a","failed":"${'x'.repeat(5000)}"}`, { failed: 'x'.repeat(1000) }],
      ['{"id":"a","failed":""}', { failed: '' }],
    ];
    for (const [text, answer] of cases) assert.deepEqual(readAnswer(parseMessage(text)), { id: 'a', answer });
  });

  it('that are no numbers are failures', () => {
    const cases: [string, string][] = [
      ['NaN', 'the answer is "NaN", not a number'],
      ['-Infinity', 'the answer is "-Infinity", not a number'],
      ['null', 'the answer is null, not a number'],
      ['[1]', 'the answer is [1], not a number'],
      ['-1e999', 'the loss is -Infinity'],
    ];
    for (const [loss, failed] of cases) {
      const text = `{"note":"a \\"NaN\\" \\\\","id":"a","loss":${loss}}`;
      assert.deepEqual(readAnswer(parseMessage(text)), { id: 'a', answer: { failed } });
    }
    assert.deepEqual(readAnswer({ id: 'a', failed: 3 }).answer, { failed: 'the answer is an object, not a number' });
  });

  it('are refused where nothing says what they answer', () => {
    for (const text of ['1', 'null', '[]', '{}', '{"id":1,"loss":1}', '{"loss":1}']) {
      assert.throws(() => readAnswer(parseMessage(text)), /^Error: expected an object with an id$/);
    }
    for (const text of ['{"id":"a"}', '{"id":"a","loss":1,"infeasible":"hot"}']) {
      assert.throws(() => readAnswer(parseMessage(text)), /^Error: expected one of loss, failed and infeasible$/);
    }
    for (const text of ['', 'NaNa', 'loss: NaN', '{"id":"a","loss":+NaN}', `"${'\\"'.repeat(1e6)}`]) {
      assert.throws(() => parseMessage(text), SyntaxError);
    }
  });
});
