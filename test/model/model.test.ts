import assert from 'node:assert/strict';
import { join } from 'node:path';
import { TensorDataset } from '../../lib/data/dataset.js';
import type { CoordinatewiseOptions } from '../../lib/model/options.js';
import { Model } from '../../lib/model/model.js';
import type { Network } from '../../lib/network/description.js';
import { flatten, linear, relu } from '../../lib/network/description.js';
import type { Tensor } from '../../lib/support/safetensors.js';
import { readSafetensors, writeSafetensors } from '../../lib/support/safetensors.js';
import { bits, CLASSES, tinyImages, tinyNetwork, tinyTensors, whole, withFolder } from '../helpers/tiny.js';

describe('Model', () => {
  describe('parameters', () => {
    it('are fixed by the seed', () => {
      using first = new Model(tinyNetwork(), { seed: 1 });
      using same = new Model(tinyNetwork(), { seed: 1 });
      using other = new Model(tinyNetwork(), { seed: 2 });
      assert.equal(bits(first.parameters), bits(same.parameters));
      assert.notEqual(bits(first.parameters), bits(other.parameters));
    });

    it('are live: a tensor is a view, and what is written counts in the next call', async () => {
      using model = new Model(tinyNetwork());
      model.tensor('fc.weight').fill(0);
      model.tensor('fc.bias').fill(0);
      model.tensor('fc.bias')[2] = 100;
      const { loss, accuracy } = await model.forward(whole(tinyTensors(30)));
      assert.ok(Math.abs(loss - 200 / 3) < 1e-3);
      assert.equal(accuracy, 1 / 3);
      model.tensor('fc.bias').fill(0);
      assert.ok(Math.abs((await model.forward(whole(tinyTensors(30)))).loss - Math.log(CLASSES)) < 1e-6);
    });

    it('have names and flat indices that are inverse to each other', () => {
      using model = new Model(tinyNetwork());
      for (let flat = 0; flat < model.parameterCount; flat++) {
        assert.equal(model.parameterIndex(model.parameterName(flat)), flat);
      }
      assert.deepEqual(model.parameterName(72), { name: 'conv.bias', index: 0 });
      assert.equal(model.tensor('bn.running_var').length, 4);
      assert.throws(() => model.tensor('fc.wight'), /Unknown tensor "fc.wight"; did you mean "fc.weight"\?/);
      assert.throws(() => model.parameterIndex({ name: 'fc.bias', index: 3 }), /index into fc.bias .* received 3/);
      assert.throws(() => model.parameterName(99), /from 0 to 98, received 99/);
    });
  });

  describe('forward', () => {
    it('does not depend on the number of threads', async () => {
      const batch = whole(tinyTensors(37));
      using one = new Model(tinyNetwork(), { threads: 1 });
      using two = new Model(tinyNetwork(), { threads: 2 });
      const [first, second] = [
        await one.forward(batch, { training: true }),
        await two.forward(batch, { training: true }),
      ];
      assert.equal(first.loss, second.loss);
      assert.equal(bits(first.outputs), bits(second.outputs));
    });

    it('moves running statistics in its result only, and only in training', async () => {
      using model = new Model(tinyNetwork());
      const before = bits(model.statistics);
      const training = await model.forward(whole(tinyTensors()), { training: true });
      const evaluation = await model.forward(whole(tinyTensors()));
      assert.notEqual(bits(training.statistics), before);
      assert.equal(bits(evaluation.statistics), before);
      assert.equal(bits(model.statistics), before);
    });

    it('takes targets instead of labels under the other losses', async () => {
      const layers = [flatten(), linear({ features: 1 })];
      const network: Network = { name: 'line', input: [1, 1, 2], layers };
      const batch = { images: Float32Array.of(1, 2, 3, 4), count: 2, targets: Float32Array.of(0, 1) };
      const expected = { 'mean-squared-error': (25 + 81) / 2, 'mean-absolute-error': (5 + 9) / 2 };
      for (const loss of ['mean-squared-error', 'mean-absolute-error'] as const) {
        using model = new Model(network, { loss });
        model.parameters.set([1, 1.5, 1]);
        const result = await model.forward(batch);
        assert.deepEqual([...result.outputs], [5, 10]);
        assert.ok(Math.abs(result.loss - expected[loss]) < 1e-5);
        assert.equal(result.accuracy, undefined);
      }
    });

    it('refuses what is no batch, signal or callback', async () => {
      using model = new Model(tinyNetwork());
      const batch = whole(tinyTensors(3));
      const wrong: [Promise<unknown>, RegExp][] = [
        [model.forward(undefined as never), /Expected batch to be an object, received undefined/],
        [model.forward(batch, { signal: {} as never }), /Expected signal to be an AbortSignal, received an object/],
        [model.forward(batch, { onProgress: 5 as never }), /Expected onProgress to be a function, received 5/],
        [
          model.evaluate(undefined as never),
          /Expected the data set to be one such as the train or the test of synthetic\(\), received undefined/,
        ],
        [
          model.evaluate(
            new TensorDataset({ images: new Float32Array(0), shape: [2, 8, 8], labels: new Uint8Array(0) }),
          ),
          /the images in data set "tensors" to be an integer >= 1, received 0/,
        ],
      ];
      for (const [call, message] of wrong) await assert.rejects(call, { name: 'InvalidArgumentError', message });
    });

    it('refuses a batch that does not fit', async () => {
      using model = new Model(tinyNetwork());
      using regression = new Model(tinyNetwork(), { loss: 'mean-squared-error' });
      const batch = whole(tinyTensors(3));
      const { images, count } = batch;
      await assert.rejects(
        model.forward({ images, count }),
        /Expected batch.labels to be of type Int32Array, a class for each of 3 images, for the loss cross-entropy/,
      );
      await assert.rejects(
        model.forward({ ...batch, labels: Int32Array.of(0, 1, 3) }),
        /batch.labels\[2\] to be from 0 to 2/,
      );
      await assert.rejects(
        model.forward({ ...batch, count: 4 }),
        /length of batch.images to be 512, 4 images of 2×8×8, received 384/,
      );
      await assert.rejects(
        regression.forward(batch),
        /batch.targets to be of type Float32Array, 3 outputs for each of 3 images/,
      );
      await assert.rejects(
        regression.forward({ images, count, targets: new Float32Array(9), labels: new Int32Array(7) }),
        /length of batch.labels to be 3, a class for each of 3 images, received 7/,
      );
      await assert.rejects(model.forward({ ...batch, count: 0 }), /batch.count to be an integer >= 1/);
    });
  });

  it('evaluates losses and differences at another point when given one', async () => {
    using model = new Model(tinyNetwork(), { seed: 1 });
    using other = new Model(tinyNetwork(), { seed: 2 });
    const batch = whole(tinyTensors());
    const options = { mu: 5e-3, coordinates: Uint32Array.of(3, 90) };
    const expected = await other.coordinatewise(batch, options);
    const found = await model.coordinatewise(batch, { ...options, at: other.parameters });
    assert.equal(bits(found.values), bits(expected.values));
    assert.notEqual(bits((await model.coordinatewise(batch, options)).values), bits(expected.values));
    const { loss } = await model.forward(batch, { at: other.parameters });
    assert.equal(loss, (await other.forward(batch)).loss);
    assert.notEqual(loss, (await model.forward(batch)).loss);
  });

  describe('evaluate', () => {
    it('is over all images, whatever the batch size', async () => {
      using model = new Model(tinyNetwork());
      const dataset = tinyTensors(25);
      const { loss, accuracy } = await model.forward(whole(dataset));
      const done: number[] = [];
      const result = await model.evaluate(dataset, { batchSize: 7, onProgress: (images) => done.push(images) });
      assert.ok(Math.abs(result.loss - loss) < 1e-6);
      assert.equal(result.accuracy, accuracy);
      assert.equal(result.count, 25);
      assert.deepEqual(done, [7, 14, 21, 25]);
    });

    it('refuses a data set that does not fit the network', async () => {
      using model = new Model({ ...tinyNetwork(), input: [2, 16, 8] });
      await assert.rejects(model.evaluate(tinyTensors()), /"stripes" to have images of 2×16×8, .* received 2×8×8/);
      using narrow = new Model({ ...tinyNetwork(), layers: [flatten(), linear({ features: 2 })] });
      await assert.rejects(narrow.evaluate(tinyTensors()), /"stripes" to have at most 2 classes, .* received 3/);
    });
  });

  describe('predict', () => {
    it('yields the outputs of a forward pass, for an array, a batch and a data set', async () => {
      using model = new Model(tinyNetwork(), { seed: 2 });
      const dataset = tinyTensors(25);
      const batch = whole(dataset);
      const { outputs } = await model.forward(batch);
      const { images, count } = batch;
      for (const input of [images, { images, count }, batch, dataset]) {
        const done: number[] = [];
        const options = { batchSize: 7, onProgress: (predicted: number) => done.push(predicted) };
        assert.equal(bits(await model.predict(input, options)), bits(outputs));
        assert.deepEqual(done, [7, 14, 21, 25]);
      }
    });

    it('takes images without truth for every loss, and those of more classes than the network has', async () => {
      const { images } = whole(tinyTensors(5));
      for (const loss of ['mean-squared-error', 'mean-absolute-error'] as const) {
        using model = new Model(tinyNetwork(), { loss });
        assert.equal((await model.predict(images)).length, 5 * CLASSES);
      }
      using narrow = new Model({ ...tinyNetwork(), layers: [flatten(), linear({ features: 2 })] });
      assert.equal((await narrow.predict(tinyTensors(5))).length, 10);
    });

    it('refuses images that do not fit the network', async () => {
      using model = new Model(tinyNetwork());
      const refused: [never, RegExp][] = [
        [new Float32Array(129) as never, /the length of images to be a multiple of 128, .* received 129/],
        [new Float32Array(0) as never, /the length of images to be a multiple of 128, .* received 0/],
        [new Float64Array(128) as never, /images to be a Float32Array, a batch or a data set, received a Float64Array/],
        [null as never, /images to be a Float32Array, a batch or a data set, received null/],
        [{ images: new Float32Array(128), count: 2 } as never, /batch\.images to be 256, 2 images of 2×8×8/],
        [tinyTensors(0) as never, /images in data set "stripes" to be an integer >= 1, received 0/],
      ];
      for (const [images, message] of refused) await assert.rejects(model.predict(images), message);
      await assert.rejects(model.predict(new Float32Array(128), { batchSize: 0 }), /batchSize to be an integer >= 1/);
    });
  });

  describe('files', () => {
    const changed = async (change: (tensors: Map<string, Tensor>, metadata: Record<string, string>) => void) =>
      withFolder(async (folder) => {
        const file = join(folder, 'model.safetensors');
        using model = new Model(tinyNetwork());
        await model.save(file);
        const { tensors, metadata } = await readSafetensors(file);
        change(tensors, metadata);
        await writeSafetensors(file, tensors, metadata);
        return await Model.load(file);
      });
    const one = (value: number): Tensor => ({ dtype: 'F32', shape: [1], data: Float32Array.of(value) });

    it('carry network, loss, weights and running statistics', async () => {
      await withFolder(async (folder) => {
        const file = join(folder, 'model.safetensors');
        using model = new Model(tinyNetwork(), { seed: 5, loss: 'mean-squared-error' });
        model.statistics.fill(0.25);
        await model.save(file);
        using loaded = await Model.load(file);
        assert.deepEqual(loaded.network, model.network);
        assert.equal(loaded.loss, 'mean-squared-error');
        assert.equal(bits(loaded.parameters), bits(model.parameters));
        assert.equal(bits(loaded.statistics), bits(model.statistics));
      });
    });

    it('of another origin load into a given network, without the counters that PyTorch adds', async () => {
      await withFolder(async (folder) => {
        const file = join(folder, 'model.safetensors');
        using model = new Model(tinyNetwork(), { seed: 5 });
        await model.save(file);
        const { tensors } = await readSafetensors(file);
        tensors.set('bn.num_batches_tracked', { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) });
        await writeSafetensors(file, tensors);
        await assert.rejects(Model.load(file), /model.safetensors: expected a network in the metadata, found none/);
        using loaded = await Model.load(file, { network: tinyNetwork() });
        assert.equal(bits(loaded.parameters), bits(model.parameters));
      });
    });

    it('keep their loss under a given network', async () => {
      await withFolder(async (folder) => {
        const file = join(folder, 'model.safetensors');
        using model = new Model(tinyNetwork(), { loss: 'mean-squared-error' });
        await model.save(file);
        assert.equal((await Model.load(file, { network: tinyNetwork() })).loss, 'mean-squared-error');
        assert.equal((await Model.load(file, { loss: 'mean-absolute-error' })).loss, 'mean-absolute-error');
        assert.equal((await Model.load(file, { loss: undefined })).loss, 'mean-squared-error');
      });
    });

    it('are not written with a value that is not finite', async () => {
      await withFolder(async (folder) => {
        const file = join(folder, 'model.safetensors');
        using model = new Model(tinyNetwork());
        await model.save(file);
        model.tensor('fc.bias')[1] = Infinity;
        await assert.rejects(model.save(file), {
          name: 'FileError',
          message: `${file}: is not written: fc.bias[1] is Infinity, expected a finite number`,
        });
        assert.ok((await Model.load(file)).parameters.every(Number.isFinite));
      });
    });

    it('with tensors that do not fit are refused, and each is named', async () => {
      const mixed = changed((tensors) => {
        tensors.delete('fc.bias');
        tensors.set('fc.extra', one(1)).set('conv.bias', one(1));
      });
      await assert.rejects(mixed, {
        name: 'FileError',
        message: /missing fc\.bias; extra fc\.extra; wrong conv\.bias is F32 \[1\], expected F32 \[4\]$/,
      });
    });

    it('with a value that is not finite are refused', async () => {
      const poisoned = changed((tensors) => {
        tensors.set('fc.bias', { dtype: 'F32', shape: [3], data: Float32Array.of(0, NaN, 0) });
      });
      await assert.rejects(poisoned, {
        name: 'FileError',
        message: /expected fc\.bias\[1\] to be a finite number, found NaN$/,
      });
    });

    it('with a network that is none are refused', async () => {
      const set = (network: string) => changed((_, metadata) => void (metadata['network'] = network));
      await assert.rejects(set('resnet20'), { name: 'FileError', message: /"network" in the metadata is not JSON: / });
      const empty = JSON.stringify({ ...tinyNetwork(), layers: [] });
      await assert.rejects(set(empty), { name: 'FileError', message: /in the metadata: Expected layers/ });
    });
  });

  describe('a call', () => {
    it('with a parameter that is not finite rejects and names it', async () => {
      using model = new Model(tinyNetwork());
      model.tensor('fc.weight')[7] = -Infinity;
      await assert.rejects(model.forward(whole(tinyTensors()), { step: 3 }), {
        name: 'NonFiniteLossError',
        message: 'At step 3: expected a finite loss, but fc.weight[7] is -Infinity',
        step: 3,
        coordinate: { name: 'fc.weight', index: 7 },
      });
    });

    it('with a loss that is not finite rejects', async () => {
      using model = new Model(tinyNetwork());
      const batch = whole(tinyTensors());
      batch.images[5] = NaN;
      const rejection = { name: 'NonFiniteLossError', step: null, coordinate: null };
      await assert.rejects(model.forward(batch), rejection);
    });

    it('rejects with the reason of a signal, aborted before or in flight', async () => {
      using model = new Model(tinyNetwork());
      const before = bits(model.parameters);
      const batch = whole(tinyTensors(240));
      const endless = {
        mu: 1e-3,
        queries: 2 ** 20,
        seed: 1,
      } as const;
      await assert.rejects(model.randomized(batch, { ...endless, signal: AbortSignal.abort() }), {
        name: 'AbortError',
      });
      const reason = new Error('enough');
      const controller = new AbortController();
      const onProgress = (): void => {
        controller.abort(reason);
      };
      const call = model.randomized(batch, { ...endless, signal: controller.signal, onProgress });
      await assert.rejects(call, (error) => error === reason);
      assert.equal(bits(model.parameters), before);
    });

    it('on a disposed model is refused, those in flight end', async () => {
      const model = new Model(tinyNetwork());
      const batch = whole(tinyTensors());
      const call = model.forward(batch);
      model[Symbol.dispose]();
      model[Symbol.dispose]();
      assert.ok((await call).loss > 0);
      await assert.rejects(model.forward(batch), /has been disposed of/);
    });
  });

  it('refuses options that are wrong or unknown', async () => {
    assert.throws(
      () => new Model(tinyNetwork(), { sead: 1 } as object),
      /Unknown option "sead" in Model; did you mean "seed"\?/,
    );
    assert.throws(
      () => new Model(tinyNetwork(), { threads: 0 }),
      /threads to be an integer from 1 to 1024, received 0/,
    );
    assert.throws(
      () => new Model(tinyNetwork(), { loss: 'hinge' as 'cross-entropy' }),
      /loss to be one of cross-entropy/,
    );
    const map: Network = { name: 'map', input: [2, 8, 8], layers: [relu()] };
    assert.throws(
      () => new Model(map),
      /the network to have one output per class for the loss cross-entropy, received a map of 2×8×8: end it/,
    );
    using model = new Model(tinyNetwork());
    assert.throws(() => model.parameterIndex({ index: 0 } as never), /coordinate's name to be a non-empty string/);
    const batch = whole(tinyTensors(3));
    const misspelt = { mu: 1, coordinate: Uint32Array.of(0) } as object as CoordinatewiseOptions;
    await assert.rejects(
      model.coordinatewise(batch, misspelt),
      /"coordinate" in coordinatewise; did you mean "coordinates"\?/,
    );
    const short = { mu: 1, coordinates: Uint32Array.of(0), at: new Float32Array(98) };
    await assert.rejects(model.coordinatewise(batch, short), /at to be a Float32Array of 99, the parameters/);
    await assert.rejects(model.forward(batch, { at: new Float32Array(98) }), /at to be a Float32Array of 99/);
    const drawing = { mu: 1, queries: 1, step: 2 ** 32 };
    await assert.rejects(
      model.randomized(batch, drawing),
      /step to be an integer from 0 to 4294967295, received 4294967296/,
    );
    await assert.rejects(model.evaluate(tinyImages(), { batchSize: 0 }), /batchSize to be an integer >= 1, received 0/);
  });
});
