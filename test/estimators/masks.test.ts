import assert from 'node:assert/strict';
import { drawCoordinates, keptCounts, maskOf, maskOptions } from '../../lib/estimators/masks.js';
import { Model } from '../../lib/model/model.js';
import { compile } from '../../lib/network/compile.js';
import { resnet } from '../../lib/network/resnet.js';
import { Random } from '../../lib/native/random.js';
import { parseOptions } from '../../lib/support/schema.js';
import { bits, tinyNetwork } from '../helpers/tiny.js';

const { parameters, parameterCount } = compile(tinyNetwork());

describe('masks', () => {
  it('keep round((1 − s)·n) of each maskable tensor, and all of the others', () => {
    const names = parameters.map(({ name }) => name);
    assert.deepEqual(names, ['conv.weight', 'conv.bias', 'bn.weight', 'bn.bias', 'fc.weight', 'fc.bias']);
    assert.deepEqual(keptCounts(parameters, 0), [72, 4, 4, 4, 12, 3]);
    assert.deepEqual(keptCounts(parameters, 0.9), [7, 4, 4, 4, 1, 3]);
    assert.deepEqual(keptCounts(parameters, { 'conv.weight': 1, 'fc.weight': 0.25 }), [0, 4, 4, 4, 9, 3]);
  });

  it('keep every count exactly that a ratio was made from', () => {
    const [conv] = parameters;
    for (let kept = 0; kept <= conv!.size; kept++) {
      assert.equal(keptCounts(parameters, { 'conv.weight': 1 - kept / conv!.size, 'fc.weight': 0 })[0], kept);
    }
  });

  it('are distinct indices in increasing order, as many in each tensor as kept', () => {
    const tensors = compile(resnet({ depth: 8, width: 4 })).parameters;
    const coordinates = drawCoordinates(tensors, 0.7, new Random(1, 'mask'));
    for (let i = 1; i < coordinates.length; i++) assert.ok(coordinates[i]! > coordinates[i - 1]!);
    const counts = tensors.map(
      ({ offset, size }) => coordinates.filter((flat) => flat >= offset && flat < offset + size).length,
    );
    assert.deepEqual(counts, keptCounts(tensors, 0.7));
  });

  it('are drawn by the generator alone, and reach every coordinate', () => {
    const draw = (index: number): Uint32Array => drawCoordinates(parameters, 0.9, new Random(3, 'mask', index));
    assert.equal(bits(draw(0)), bits(draw(0)));
    assert.notEqual(bits(draw(0)), bits(draw(1)));
    const times = new Uint32Array(parameterCount);
    for (let index = 0; index < 300; index++) for (const flat of draw(index)) times[flat]!++;
    // 7 of 72 are kept: 29 of 300 draws are expected to have a given coordinate, with a deviation of 5.
    const drawn = [...times.subarray(0, 72)];
    assert.ok(Math.min(...drawn) > 5 && Math.max(...drawn) < 60, `${Math.min(...drawn)} to ${Math.max(...drawn)}`);
  });

  it('are those of the options as given, whatever becomes of the objects', () => {
    const ratios = { 'conv.weight': 0.5, 'fc.weight': 0.25 };
    const coordinates = Uint32Array.of(1, 5);
    const start = { seed: 0, step: 0, epoch: 0 };
    using model = new Model(tinyNetwork());
    for (const options of [{ ratios }, { coordinates }]) {
      const { config, draw } = maskOf(parseOptions(maskOptions, options, 'cge'), options);
      const before = [JSON.stringify(config), bits(draw(model, start))];
      ratios['conv.weight'] = 0.75;
      coordinates[0] = 2;
      assert.deepEqual([JSON.stringify(config), bits(draw(model, start))], before);
    }
  });

  it('refuse ratios that are out of range, missing, or of tensors that are not maskable', () => {
    assert.throws(() => keptCounts(parameters, 1), /Expected ratios to be a number >= 0 and < 1, received 1/);
    assert.throws(
      () => keptCounts(parameters, { 'conv.weight': 1.5, 'fc.weight': 0 }),
      /ratios\["conv.weight"\] to be a number from 0 to 1, received 1.5/,
    );
    assert.throws(() => keptCounts(parameters, { 'conv.weight': 0 }), /ratios\["fc.weight"\] .* received undefined/);
    assert.throws(
      () => keptCounts(parameters, { 'conv.weight': 0, 'fc.weight': 0, 'bn.weight': 0.5 }),
      /received "bn.weight", which is always queried/,
    );
    assert.throws(
      () => keptCounts(parameters, { 'conv.wait': 0, 'fc.weight': 0 }),
      /received "conv.wait"; did you mean "conv.weight"\?/,
    );
  });
});
