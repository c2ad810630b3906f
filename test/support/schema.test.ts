import assert from 'node:assert/strict';
import * as v from 'valibot';
import { InvalidArgumentError } from '../../lib/support/errors.js';
import {
  boolean,
  checked,
  factsOf,
  fraction,
  integer,
  nonNegative,
  oneOf,
  parseContent,
  parseOptions,
  positive,
  smoothing,
  string,
  unit,
} from '../../lib/support/schema.js';

const options = v.strictObject({
  mu: positive,
  rank: v.optional(oneOf(['signed', 'magnitude']), 'signed'),
  ratios: v.optional(v.record(v.string(), unit)),
  input: v.optional(v.strictObject({ rows: integer(1, 8) })),
  stages: v.optional(v.array(v.strictObject({ rows: v.optional(integer(1, 8)) }))),
});

describe('schemas', () => {
  it('yield the options with their defaults', () => {
    assert.deepEqual(parseOptions(options, { mu: 1 }, 'f'), { mu: 1, rank: 'signed' });
    assert.deepEqual(parseOptions(options, { mu: 1, rank: undefined }, 'f'), { mu: 1, rank: 'signed' });
  });

  it('name the option at fault, in the message and as a property', () => {
    const refusals: [unknown, string, string | undefined][] = [
      [{}, 'Expected mu to be a finite number > 0, received undefined', 'mu'],
      [{ mu: '1' }, 'Expected mu to be a finite number > 0, received "1"', 'mu'],
      [{ mu: 1, rank: 'sign' }, 'Expected rank to be one of signed, magnitude, received "sign"', 'rank'],
      [
        { mu: 1, ratios: { 'a.b': 2 } },
        'Expected ratios["a.b"] to be a number from 0 to 1, received 2',
        'ratios["a.b"]',
      ],
      [{ mu: 1, ratios: 3 }, 'Expected ratios to be an object, received 3', 'ratios'],
      [{ mu: 1, input: { rows: 9 } }, 'Expected input.rows to be an integer from 1 to 8, received 9', 'input.rows'],
      [{ mu: 1, ratios: [1] }, 'Expected ratios to be an object, received [1]', 'ratios'],
      [{ mu: 1, input: [] }, 'Expected input to be an object, received []', 'input'],
      [{ mu: 1, stages: [{}, []] }, 'Expected stages[1] to be an object, received []', 'stages[1]'],
      [{ nu: 1 }, 'Unknown option "nu" in f; did you mean "mu"?', undefined],
      [null, 'Expected the options of f to be an object, received null', undefined],
      [[], 'Expected the options of f to be an object, received []', undefined],
    ];
    for (const [value, message, option] of refusals) {
      assert.throws(() => parseOptions(options, value, 'f'), { code: 'DEEPZERO_INVALID_ARGUMENT', message, option });
    }
  });

  it('of files name the file', () => {
    const file = (content: unknown) => () => parseContent(options, content, 'a.json');
    assert.throws(file({ mu: 0 }), {
      code: 'DEEPZERO_FILE',
      message: /^a\.json: expected mu to be a finite number > 0/,
    });
    assert.throws(file({ mu: 1, nu: 2 }), { message: /^a\.json: unknown "nu"/ });
    assert.throws(file([]), { message: /^a\.json: expected its content to be an object, received \[\]$/ });
    assert.throws(file({ mu: 1, input: [] }), { message: /^a\.json: expected input to be an object, received \[\]$/ });
    assert.throws(file(3), { message: /^a\.json: expected its content to be an object, received 3/ });
  });

  it('of single values name the item at fault', () => {
    const items = (value: unknown) => () => checked(v.array(unit), value, 'weights');
    assert.throws(items([0, 2]), { message: 'Expected weights[1] to be a number from 0 to 1, received 2' });
    assert.throws(items(2), { message: 'Expected weights to be a list, received 2' });
  });

  it('hold their ranges to the ends', () => {
    const cases: [Parameters<typeof checked>[0], unknown[], unknown[]][] = [
      [positive, [1e-308, 3], [0, -1, Infinity, NaN, '1', null]],
      [nonNegative, [0, 3], [-1e-9, NaN]],
      [fraction, [0, 0.999], [1, -0.1]],
      [unit, [0, 1], [1.01, -0.1]],
      [smoothing, [1e-40, 3e38], [1e-50, 4e38, 0]],
      [integer(2, 4), [2, 4], [1, 5, 2.5, '3']],
      [boolean, [true, false], [0, 'true']],
      [string, ['a'], ['', 1]],
    ];
    for (const [schema, right, wrong] of cases) {
      for (const value of right) assert.equal(checked(schema, value, 'x'), value);
      for (const value of wrong) assert.throws(() => checked(schema, value, 'x'), InvalidArgumentError);
    }
  });

  it('tell constraint, form, choices, default and description', () => {
    const rank = v.pipe(v.optional(oneOf(['a', 'b']), 'a'), v.description('which'));
    assert.deepEqual(factsOf(oneOf(['a', 'b'])), { constraint: 'one of a, b', form: 'choice', choices: ['a', 'b'] });
    assert.equal(factsOf(v.optional(oneOf(['a', 'b']), 'a')).default, 'a');
    assert.equal(v.getDescription(rank), 'which');
  });
});
