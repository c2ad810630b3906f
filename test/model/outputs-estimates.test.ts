/**
 * Estimates by a loss of outputs: close to those of the built-in loss, and the same bits however they are computed.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gradcheck } from '../../lib/estimators/gradcheck.js';
import type { Batch } from '../../lib/data/dataset.js';
import type { OutputsContext, OutputsLoss } from '../../lib/model/losses.js';
import { outputsLoss } from '../../lib/model/losses.js';
import type { ModelOptions } from '../../lib/model/model.js';
import { Model } from '../../lib/model/model.js';
import { DISTRIBUTIONS, REUSES } from '../../lib/model/options.js';
import type { Network } from '../../lib/network/description.js';
import { conv2d } from '../../lib/network/description.js';
import { cnn } from '../../lib/network/cnn.js';
import { resnet } from '../../lib/network/resnet.js';
import { zoGraspImportance } from '../../lib/pruning/zo-grasp.js';
import { patternSearch } from '../../lib/estimators/pattern-search.js';
import { crossEntropy, meanCrossEntropy, relativeError } from '../helpers/outputs.js';
import { bits, CLASSES, tinyNetwork, tinyTensors, whole } from '../helpers/tiny.js';

const batch = whole(tinyTensors(37));
const NETWORKS: readonly Network[] = [
  cnn({ depth: 2, channels: 3, classes: CLASSES, input: [2, 8, 8] }),
  resnet({ depth: 8, width: 2, classes: CLASSES, input: [2, 8, 8] }),
];

const MU = 5e-3;
/** The built-in loss sums changes in float32, 6e-8 each; where values are compared, only the order of sums differs. */
const CHANGES = 1e-6;
const VALUES = 1e-9;

const every = (model: Model, stride = 1): Uint32Array =>
  Uint32Array.from({ length: Math.ceil(model.parameterCount / stride) }, (_, i) => stride * i);

/** Models that differ in their loss. */
function both(network: Network, options: ModelOptions = {}): [Model, Model] {
  return [new Model(network, { seed: 2, ...options }), new Model(network, { seed: 2, ...options, loss: crossEntropy })];
}

describe('an estimate by the cross-entropy of outputs', () => {
  for (const network of NETWORKS) {
    for (const reuse of REUSES) {
      for (const central of [false, true]) {
        it(`is CGE by the built-in loss: ${network.name}, ${reuse}${central ? ', central' : ''}`, async () => {
          const [builtIn, ours] = both(network);
          const coordinates = every(builtIn, 3);
          const expected = await builtIn.coordinatewise(batch, { mu: MU, coordinates, reuse, central });
          const found = await ours.coordinatewise(batch, { mu: MU, coordinates, reuse, central });
          assert.ok(relativeError(found.values, expected.values) < (reuse === 'incremental' ? CHANGES : VALUES));
          assert.ok(Math.abs(found.loss - expected.loss) < 1e-14);
          assert.equal(bits(found.outputs), bits(expected.outputs));
          assert.equal(bits(found.statistics), bits(expected.statistics));
          assert.equal(found.queries, expected.queries);
        });
      }
    }

    for (const reuse of ['none', 'incremental'] as const) {
      it(`is RGE by the built-in loss: ${network.name}, ${reuse}`, async () => {
        const [builtIn, ours] = both(network);
        for (const distribution of DISTRIBUTIONS) {
          for (const central of [false, true]) {
            const options = { mu: MU, queries: 7, distribution, perTensor: central, central, reuse, seed: 3, step: 4 };
            const expected = await builtIn.randomized(batch, options);
            const found = await ours.randomized(batch, options);
            assert.ok(relativeError(found.values, expected.values) < (reuse === 'incremental' ? CHANGES : VALUES));
            assert.ok(Math.abs(found.loss - expected.loss) < 1e-14);
            assert.equal(bits(found.statistics), bits(expected.statistics));
            assert.equal(found.queries, expected.queries);
          }
        }
      });
    }
  }

  it('gives values in the order asked for, to the same bits', async () => {
    using model = new Model(NETWORKS[0]!, { seed: 2, loss: crossEntropy });
    const all = await model.coordinatewise(batch, { mu: MU, coordinates: every(model) });
    const some = Uint32Array.of(40, 3, 17, 99, 0);
    const { values } = await model.coordinatewise(batch, { mu: MU, coordinates: some });
    assert.equal(bits(values), bits(Float64Array.from(some, (flat) => all.values[flat]!)));
  });

  it('has the same bits on any number of threads', async () => {
    const estimates = async (threads: number): Promise<string[]> => {
      using model = new Model(NETWORKS[1]!, { seed: 2, loss: crossEntropy, threads });
      const along = await model.coordinatewise(batch, { mu: MU, coordinates: every(model, 2), central: true });
      const random = await model.randomized(batch, { mu: MU, queries: 9, distribution: 'sphere' });
      return [along, random].flatMap(({ values, loss }) => [bits(values), String(loss)]);
    };
    const one = await estimates(1);
    assert.deepEqual(await estimates(2), one);
    assert.deepEqual(await estimates(3), one);
  });

  it('is the same in double precision by plain loops, and gradcheck compares the two', async () => {
    const [builtIn, ours] = both(NETWORKS[0]!);
    const coordinates = Uint32Array.of(70, 3, 17, 99, 0);
    for (const central of [false, true]) {
      const options = { mu: MU, coordinates, central };
      const [expected, found] = [await builtIn.reference(batch, options), await ours.reference(batch, options)];
      assert.ok(relativeError(found.values, expected.values) < VALUES);
      assert.ok(Math.abs(found.loss - expected.loss) < 1e-14);
      const { relativeError: error, entries, firstOrderCosine } = await gradcheck(ours, batch, options);
      assert.ok(error < 1e-5, `${error}`);
      assert.ok(entries.every(({ firstOrder }) => Number.isNaN(firstOrder)) && Number.isNaN(firstOrderCosine));
    }
  });

  it('goes into ZO-GraSP and into trials of Pattern Search', async () => {
    const [builtIn, ours] = both(tinyNetwork());
    const images = tinyTensors(24);
    const quick = { queries: 8, samplesPerClass: 4, seed: 1 };
    const expected = await zoGraspImportance(builtIn, images, quick);
    // A difference of two estimates over μ: their errors of 1e-7 grow by 1/μ.
    assert.ok(relativeError(await zoGraspImportance(ours, images, quick), expected) < 1e-3);
    const search = patternSearch({ radius: 0.1, queries: 40 });
    const position = { seed: 1, step: 0, epoch: 0 };
    const [theirs, found] = [
      await search.estimate(builtIn, whole(images), position),
      await search.estimate(ours, whole(images), position),
    ];
    assert.deepEqual(found.gradient, theirs.gradient);
    assert.ok(theirs.gradient.some((move) => move !== 0));
  });
});

describe('a pass by a loss of outputs', () => {
  it('is that of the built-in loss, in both modes of batch norm and over a data set', async () => {
    const [builtIn, ours] = both(tinyNetwork());
    for (const training of [false, true]) {
      const { loss: expected, ...pass } = await builtIn.forward(batch, { training });
      const { loss, ...rest } = await ours.forward(batch, { training });
      assert.deepEqual(rest, pass);
      assert.ok(Math.abs(loss - expected) < 1e-14);
    }
    const at = ours.parameters.map((value) => 2 * value);
    const moved = await ours.lossAt(batch, at);
    assert.ok(Math.abs(moved.loss - (await builtIn.lossAt(batch, at)).loss) < 1e-14);
    const images = tinyTensors(30, 2);
    const [found, known] = [await ours.evaluate(images, { batchSize: 7 }), await builtIn.evaluate(images)];
    assert.ok(Math.abs(found.loss - known.loss) < 1e-12);
    assert.deepEqual([found.accuracy, found.count], [known.accuracy, 30]);
  });

  it('hands over the batch as it is, which needs neither labels nor targets', async () => {
    const seen: [Batch, OutputsContext, number][] = [];
    const loss: OutputsLoss = {
      name: 'seen',
      losses: (outputs, given, context) => {
        seen.push([given, context, outputs[0]!.length]);
        return outputs.map((one) => one[0]!);
      },
    };
    using model = new Model(tinyNetwork(), { loss });
    const custom = { images: batch.images, count: batch.count, sources: ['a'] };
    const { accuracy, outputs } = await model.forward(custom, { step: 3 });
    assert.equal(accuracy, undefined);
    await model.coordinatewise(custom, { mu: MU, coordinates: Uint32Array.of(98) });
    assert.ok(seen.every(([given, , length]) => given === custom && length === 37 * CLASSES));
    const [first, second] = seen.map(([, { training, step }]) => ({ training, step }));
    assert.deepEqual(
      [first, second],
      [
        { training: false, step: 3 },
        { training: true, step: undefined },
      ],
    );
    // Predictions need no loss.
    const before = seen.length;
    assert.equal(bits(await model.predict(custom)), bits(outputs));
    assert.equal(seen.length, before);
  });

  it('takes maps as outputs, in double precision where queries are incremental', async () => {
    const map: Network = { name: 'map', input: [2, 8, 8], layers: [conv2d({ name: 'c', channels: 3, kernel: 3, padding: 1 })] }; // prettier-ignore
    const rounded: boolean[] = [];
    const loss = outputsLoss('mean of squares', (outputs) => {
      assert.equal(outputs.length, 37 * 3 * 64);
      rounded.push(outputs.every((value) => Math.fround(value) === value));
      return outputs.reduce((sum, value) => sum + value * value, 0) / outputs.length;
    });
    using model = new Model(map, { seed: 1, loss });
    using other = new Model(map, { seed: 1, loss: 'mean-squared-error' });
    const truth = { ...batch, targets: new Float32Array(37 * 3 * 64) };
    for (const reuse of ['layer', 'incremental'] as const) {
      const options = { mu: MU, coordinates: every(model, 5), reuse };
      const [found, expected] = [
        await model.coordinatewise(batch, options),
        await other.coordinatewise(truth, options),
      ];
      assert.ok(relativeError(found.values, expected.values) < VALUES);
      assert.ok(rounded.splice(0).every((value) => value === (reuse === 'layer')));
    }
  });
});

describe('losses that take their time', () => {
  it('give the same bits, one at a time or many at once', async () => {
    const late = outputsLoss('late', async (outputs, given) => {
      await nextTurn();
      return meanCrossEntropy(outputs, given);
    });
    const calls: number[] = [];
    const many: OutputsLoss = {
      name: 'many',
      losses: async (outputs, given) => {
        calls.push(outputs.length);
        await nextTurn();
        return Float64Array.from(outputs, (one) => meanCrossEntropy(one, given));
      },
    };
    const valuesBy = async (loss: OutputsLoss): Promise<string> => {
      using model = new Model(tinyNetwork(), { seed: 1, loss });
      return bits((await model.coordinatewise(batch, { mu: MU, coordinates: every(model), central: true })).values);
    };
    const expected = await valuesBy(crossEntropy);
    assert.equal(await valuesBy(late), expected);
    assert.equal(await valuesBy(many), expected);
    assert.equal(
      calls.reduce((sum, count) => sum + count, 0),
      1 + 2 * 99,
    );
    assert.ok(Math.max(...calls) > 2, calls.join());
  });

  it('may call other models and the same one', async () => {
    using judge = new Model(tinyNetwork(), { seed: 5 });
    const pixels = batch.images.length / batch.count;
    const judged = outputsLoss('judged', async (outputs, given) => {
      // Images that are dimmed by the first output.
      const images = given.images.map((value, i) => value * Math.tanh(outputs[CLASSES * Math.floor(i / pixels)]!));
      const { loss } = await judge.forward({ ...given, images });
      return loss;
    });
    using model = new Model(tinyNetwork(), { seed: 1, loss: judged });
    const coordinates = every(model, 7);
    const { values } = await model.coordinatewise(batch, { mu: 0.05, coordinates });
    const at = async (move: number): Promise<number> => {
      const moved = model.parameters.slice();
      moved[98]! += move;
      return (await model.lossAt(batch, moved)).loss;
    };
    const step = Math.fround(model.parameters[98]! + Math.fround(0.05)) - model.parameters[98]!;
    assert.ok(Math.abs(values.at(-1)! - ((await at(0.05)) - (await at(0))) / step) < 1e-4);
    // The same one too: its base pass is made again after every call.
    const own: OutputsLoss = {
      name: 'own',
      losses: async (outputs, given) => {
        await self.predict(given);
        return outputs.map((one) => meanCrossEntropy(one, given));
      },
    };
    using self = new Model(tinyNetwork(), { seed: 1, loss: own });
    using plain = new Model(tinyNetwork(), { seed: 1, loss: crossEntropy });
    const wanted = await plain.coordinatewise(batch, { mu: MU, coordinates });
    const found = await self.coordinatewise(batch, { mu: MU, coordinates });
    assert.equal(bits(found.values), bits(wanted.values));
  });

  it('are those of the point and the images when the call was made', async () => {
    let change = (): void => undefined;
    const changing: OutputsLoss = {
      name: 'changing',
      losses: async (outputs, given) => {
        change();
        await nextTurn();
        return outputs.map((one) => meanCrossEntropy(one, given));
      },
    };
    using model = new Model(tinyNetwork(), { seed: 1, loss: changing, threads: 1 });
    const mine = { ...batch, images: batch.images.slice() };
    const options = { mu: MU, coordinates: every(model) };
    const expected = await model.coordinatewise(mine, options);
    change = () => {
      model.parameters.fill(0.5);
      mine.images.fill(1);
    };
    const found = await model.coordinatewise(mine, options);
    assert.equal(bits(found.values), bits(expected.values));
  });

  it('end, as other calls, though their model is disposed of', async () => {
    const model = new Model(tinyNetwork(), { seed: 1, loss: crossEntropy });
    const options = { mu: MU, coordinates: every(model) };
    const expected = await model.coordinatewise(batch, options);
    const call = model.coordinatewise(batch, options);
    model[Symbol.dispose]();
    assert.equal(bits((await call).values), bits(expected.values));
    await assert.rejects(model.forward(batch), /has been disposed of/);
  });
});
