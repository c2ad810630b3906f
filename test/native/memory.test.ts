import assert from 'node:assert/strict';
import { InvalidArgumentError } from '../../lib/support/errors.js';
import { readOption, size } from '../../lib/cli/command.js';
import type { CoordinatewiseOptions, RandomizedOptions } from '../../lib/model/options.js';
import { threadsWithin } from '../../lib/native/memory.js';
import type { OutputsLoss } from '../../lib/model/losses.js';
import { Model } from '../../lib/model/model.js';
import type { NativeAddon, NativeFit, NativeNetwork } from '../../lib/native/addon.js';
import { native } from '../../lib/native/addon.js';
import { cge } from '../../lib/estimators/cge.js';
import { sgd } from '../../lib/optimizers/optimizers.js';
import { train } from '../../lib/training/train.js';
import { crossEntropy, meanCrossEntropy } from '../helpers/outputs.js';
import { bits, tinyImages, tinyNetwork, tinyTensors, whole } from '../helpers/tiny.js';

const COORDINATES: CoordinatewiseOptions = { mu: 5e-3, coordinates: Uint32Array.of(0, 30, 75, 90) };
const DIRECTIONS: RandomizedOptions = {
  ...{ mu: 5e-3, queries: 3, distribution: 'gaussian', seed: 1 },
};
const batch = whole(tinyTensors(40));

/** Every kind of computation, and the bits of what it yields. */
const COMPUTATIONS: Readonly<Record<string, (model: Model) => Promise<string>>> = {
  evaluate: async (model) => bits((await model.forward(batch, { training: true })).outputs),
  gradient: async (model) => bits((await model.gradient(batch)).values),
  double: async (model) => bits((await model.gradient(batch, { precision: 'double' })).values),
  layer: async (model) => bits((await model.coordinatewise(batch, { ...COORDINATES, reuse: 'layer' })).values),
  incremental: async (model) => bits((await model.coordinatewise(batch, COORDINATES)).values),
  none: async (model) => bits((await model.randomized(batch, { ...DIRECTIONS, reuse: 'none' })).values),
  directions: async (model) => bits((await model.randomized(batch, DIRECTIONS)).values),
  reference: async (model) => bits((await model.reference(batch, COORDINATES)).values),
};

/** What one thread takes, as the refusal of a bound that is too small says it. */
async function needed(compute: (model: Model) => Promise<string>, loss?: OutputsLoss): Promise<number> {
  using model = new Model(tinyNetwork(), { memory: 1, ...(loss && { loss }) });
  try {
    await compute(model);
  } catch (error) {
    assert.ok(error instanceof InvalidArgumentError);
    const pattern =
      /^Expected memory to be at least (\d+(?:\.\d+)?[KM]?B) for 40 images on one thread, received 1B: raise memory, or use a smaller batch$/;
    const [, least] = pattern.exec(error.message) ?? [];
    assert.ok(least, error.message);
    return readOption(size('', ''), '--memory', least) as number;
  }
  throw new Error('One byte was enough');
}

/** What networks are asked for while `body` runs: the names of the calls, and the threads of those that compute. */
async function recorded(body: () => Promise<void>): Promise<string[]> {
  const calls: string[] = [];
  const original = native.Network;
  const record = (...args: ConstructorParameters<NativeAddon['Network']>): NativeNetwork => {
    const network = new original(...args);
    return new Proxy(network, {
      get: (_, name: keyof NativeNetwork) =>
        name === 'memory'
          ? network.memory.bind(network)
          : (...job: [{ threads: number } | undefined]) => {
              calls.push(job[0] ? `${name} ${job[0].threads}` : name);
              return (network[name] as (...job: unknown[]) => unknown)(...job);
            },
    });
  };
  const property = Object.getOwnPropertyDescriptor(native, 'Network')!;
  const recorder = function (...args: Parameters<typeof record>) {
    return record(...args);
  };
  Object.defineProperty(native, 'Network', { ...property, get: () => recorder });
  try {
    await body();
  } finally {
    Object.defineProperty(native, 'Network', property);
  }
  return calls;
}

describe('memory', () => {
  it('allows as many threads as fit', () => {
    const network = new native.Network(
      [1, 4, 4],
      [
        { kind: 'conv2d', inputs: [0], channels: 2, kernel: [3, 3], stride: 1, padding: 1, bias: false },
        { kind: 'averagePool', inputs: [1], kernel: [4, 4], stride: 1 },
      ],
    );
    const floats = (length: number): Float32Array => new Float32Array(length);
    const batch = { images: floats(40 * 16), labels: new Int32Array(40), count: 40 };
    const point = { parameters: floats(18), statistics: floats(0), loss: 'cross-entropy', training: true } as const;
    const fit = (threads: number, bound: number): NativeFit =>
      network.memory('evaluate', { ...point, ...batch, threads }, bound);
    const bytes = [1, 2, 3, 4, 5].map((threads) => fit(threads, Infinity).bytes);
    bytes.forEach((needed, i) => {
      assert.ok(i === 0 || needed > bytes[i - 1]!);
      assert.deepEqual(fit(i + 1, Infinity), { threads: i + 1, bytes: needed });
      for (const threads of [i + 1, 5]) assert.deepEqual(fit(threads, needed), { threads: i + 1, bytes: needed });
      assert.deepEqual(fit(5, needed - 0.5), { threads: i, bytes: bytes[Math.max(0, i - 1)] });
    });
    assert.throws(() => network.memory('evaluate', { ...point, ...batch, threads: 1, count: 41 }, 1), /long, received/);
    assert.throws(
      () => network.memory('steps' as 'evaluate', { ...point, ...batch, threads: 1 }, 1),
      /the computation/,
    );
  });

  it('says how much is needed where not even one thread fits', () => {
    assert.equal(threadsWithin(110, { threads: 2, bytes: 110 }, 3), 2);
    assert.throws(() => threadsWithin(109, { threads: 0, bytes: 110 }, 3), {
      name: 'InvalidArgumentError',
      message:
        'Expected memory to be at least 110B for 3 images on one thread, received 109B: raise memory, or use a smaller batch',
    });
    assert.throws(() => threadsWithin(98_769, { threads: 0, bytes: 1_234_000_001 }, 1), {
      message: /at least 1\.235GB for 1 image on one thread, received 98\.76KB:/,
    });
  });

  it('is checked', () => {
    for (const memory of [0, -1, NaN, Infinity, '1GB' as never]) {
      assert.throws(
        () => new Model(tinyNetwork(), { memory }),
        /^\w+: Expected memory to be a finite number > 0, received/,
      );
    }
    assert.equal(new Model(tinyNetwork(), { memory: 1e9 }).memory, 1e9);
    assert.equal(new Model(tinyNetwork()).memory, undefined);
  });

  for (const [name, compute] of Object.entries(COMPUTATIONS)) {
    it(`bounds the threads, and not the result: ${name}`, async () => {
      const least = await needed(compute);
      using free = new Model(tinyNetwork(), { threads: 3 });
      const expected = await compute(free);
      for (const memory of [least, 1e9]) {
        const calls = await recorded(async () => {
          using model = new Model(tinyNetwork(), { threads: 3, memory });
          assert.equal(await compute(model), expected);
        });
        // The reference's threads share all that it allocates.
        const threads = memory === least && name !== 'reference' ? 1 : 3;
        assert.match(calls.filter((call) => call !== 'release').join(), new RegExp(`^\\w+ ${threads}$`));
      }
      using tight = new Model(tinyNetwork(), { memory: 0.99 * least });
      await assert.rejects(compute(tight), { name: 'InvalidArgumentError', message: /at least/ });
    });
  }

  for (const [name, compute] of Object.entries(COMPUTATIONS)) {
    if (name === 'gradient' || name === 'double') continue;
    it(`bounds the threads and the outputs at a time by a loss of outputs, and not the result: ${name}`, async () => {
      const atATime: number[] = [];
      const loss: OutputsLoss = {
        name: 'recording',
        losses: (outputs, given) => {
          atATime.push(outputs.length);
          return outputs.map((one) => meanCrossEntropy(one, given));
        },
      };
      const least = await needed(compute, loss);
      using free = new Model(tinyNetwork(), { threads: 3, loss });
      const expected = await compute(free);
      for (const memory of [least, 1e9]) {
        atATime.length = 0;
        const calls = await recorded(async () => {
          using model = new Model(tinyNetwork(), { threads: 3, memory, loss });
          assert.equal(await compute(model), expected);
        });
        const threads = calls.filter((call) => /^\w+ \d+$/.test(call) && !call.startsWith('combine'));
        const most = memory === least ? 1 : 3;
        assert.ok(threads.length > 0 && threads.every((call) => call.endsWith(` ${most}`)), calls.join());
        // The first have the unperturbed outputs with them.
        if (memory === least) assert.ok(Math.max(...atATime) <= 2, atATime.join());
      }
      using tight = new Model(tinyNetwork(), { memory: 0.99 * least, loss });
      await assert.rejects(compute(tight), { name: 'InvalidArgumentError', message: /at least/ });
    });
  }

  it('of a loss of outputs is what memoryOf says, more for more coordinates', () => {
    const of = (count: number, memory?: number) => {
      using model = new Model(tinyNetwork(), { threads: 2, loss: crossEntropy, memory });
      return model.memoryOf(batch, { coordinates: Uint32Array.from({ length: count }, (_, i) => i) });
    };
    const [few, many] = [of(4), of(99)];
    assert.equal(few.threads, 2);
    // Of every coordinate the outputs, as they are computed and in two parts that JavaScript holds.
    assert.ok(many.bytes - few.bytes >= 95 * 3 * 40 * 3 * 8);
    assert.ok(many.bytes - few.bytes < 95 * 4 * 40 * 3 * 8);
    const within = of(99, few.bytes);
    assert.ok(within.threads >= 1 && within.bytes <= few.bytes);
  });

  it('grows with the batch, and is looked at before anything is computed', async () => {
    const least = await needed(COMPUTATIONS['incremental']!);
    using model = new Model(tinyNetwork(), { memory: least });
    const twice = whole(tinyTensors(80));
    twice.images[0] = NaN;
    await assert.rejects(model.coordinatewise(twice, COORDINATES), /for 80 images on one thread/);
    await assert.rejects(model.forward(twice), { name: 'NonFiniteLossError' });
  });

  it('is not filled by what earlier computations left', async () => {
    const { evaluate, incremental, gradient, double } = COMPUTATIONS as Record<
      string,
      (model: Model) => Promise<string>
    >;
    const run = (memory: number | undefined) =>
      recorded(async () => {
        using model = new Model(tinyNetwork(), { threads: 2, memory });
        const before = [evaluate!, evaluate!, incremental!, incremental!, evaluate!];
        for (const compute of [...before, gradient!, gradient!, double!]) await compute(model);
      });
    const [first, second, third] = ['evaluate 2', 'coordinatewise 2', 'gradient 2'];
    assert.deepEqual(await run(1e9), [
      ...['release', first, first, 'release', second, second, 'release', first],
      ...['release', third, third, 'release', third, 'release'],
    ]);
    assert.deepEqual(await run(undefined), [first, first, second, second, first, third, third, third, 'release']);
  });

  it('reaches a training run', async () => {
    using model = new Model(tinyNetwork(), { memory: 1000 });
    const run = train(model, tinyImages(), {
      ...{ estimator: cge({ mu: 5e-3 }), optimizer: sgd({ lr: 0.1 }), steps: 1, batchSize: 8 },
    });
    await assert.rejects(run.estimateCost(), /^InvalidArgumentError: Expected memory to be at least .* 8 images/);
  });
});
