import assert from 'node:assert/strict';
import { stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { LoadOptions } from '../../lib/model/model.js';
import { Model } from '../../lib/model/model.js';
import { compile } from '../../lib/network/compile.js';
import type { Layer, Network } from '../../lib/network/description.js';
import { batchNorm, conv2d, globalAveragePool, linear, residual } from '../../lib/network/description.js';
import type { Tensor } from '../../lib/support/safetensors.js';
import { readSafetensors, writeSafetensors } from '../../lib/support/safetensors.js';
import { bits, tinyNetwork, withFolder } from '../helpers/tiny.js';

interface Content {
  tensors: Map<string, Tensor>;
  metadata: Record<string, string>;
}

/** Loads the file of a tiny model, of seed 5, whose content was changed. */
async function loaded(change: (content: Content) => Content | undefined, options: LoadOptions = {}): Promise<Model> {
  return await withFolder(async (folder) => {
    const file = join(folder, 'w.safetensors');
    using model = new Model(tinyNetwork(), { seed: 5 });
    await model.save(file);
    const read = await readSafetensors(file);
    const content = { tensors: read.tensors, metadata: { ...read.metadata } };
    const { tensors, metadata } = change(content) ?? content;
    await writeSafetensors(file, tensors, metadata);
    return await Model.load(file, options);
  });
}

const original = new Model(tinyNetwork(), { seed: 5 });

function renamed({ tensors, metadata }: Content, change: (name: string) => string): Content {
  return { tensors: new Map([...tensors].map(([name, tensor]) => [change(name), tensor])), metadata };
}

/** A refusal as a FileError, in one line of visible characters. */
async function refused(
  change: (content: Content) => Content | undefined,
  message: RegExp,
  options?: LoadOptions,
): Promise<void> {
  await assert.rejects(loaded(change, options), (error: Error) => {
    assert.equal(error.name, 'FileError', String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\p{Cc}/u);
    return true;
  });
}

const float = (...values: number[]): Tensor => ({
  dtype: 'F32',
  shape: [values.length],
  data: Float32Array.from(values),
});

describe('names of tensors in a file', () => {
  it('may share a prefix, which is ignored and noted', async () => {
    for (const prefix of ['module.', 'module.net.']) {
      const model = await loaded((content) => renamed(content, (name) => prefix + name));
      assert.equal(bits(model.parameters), bits(original.parameters));
      assert.deepEqual(model.notes, [`All tensors' names start with "${prefix}"; the prefix is ignored.`]);
    }
    assert.deepEqual((await loaded(() => undefined)).notes, []);
  });

  it('keep a prefix that is the network’s', async () => {
    const network: Network = {
      name: 'nested',
      input: [2, 8, 8],
      layers: [residual({ name: 'module', body: [conv2d({ name: 'conv', channels: 2, kernel: 1 })] })],
    };
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      using model = new Model(network, { seed: 1, loss: 'mean-squared-error' });
      await model.save(file);
      const { tensors } = await readSafetensors(file);
      assert.deepEqual([...tensors.keys()], ['module.conv.weight', 'module.conv.bias']);
      const { notes, parameters } = await Model.load(file);
      assert.deepEqual([notes, bits(parameters)], [[], bits(model.parameters)]);
    });
  });

  it('may call the only linear layer otherwise, which is noted, behind a prefix too', async () => {
    const model = await loaded((content) => renamed(content, (name) => `module.${name.replace('fc.', 'linear.')}`));
    assert.equal(bits(model.parameters), bits(original.parameters));
    assert.equal(bits(model.statistics), bits(original.statistics));
    assert.deepEqual(model.notes, [
      `All tensors' names start with "module."; the prefix is ignored.`,
      `The layer "module.linear" of the file is read as "fc", the network's only linear layer.`,
    ]);
  });

  it('of other layers, or of two, are refused and named', async () => {
    await refused(
      (content) => renamed(content, (name) => name.replace('conv.', 'other.')),
      /missing conv\.weight, conv\.bias; extra other\.weight, other\.bias$/,
    );
    await refused((content) => {
      const { tensors, metadata } = renamed(content, (name) => name.replace('fc.', 'linear.'));
      return { tensors: tensors.set('more.bias', float(1)), metadata };
    }, /missing fc\.weight, fc\.bias; extra linear\.weight, linear\.bias, more\.bias$/);
    await refused(
      (content) => renamed(content, (name) => (name === 'fc.bias' ? `\u001b[2J${'x'.repeat(3000)}` : name)),
      /missing fc\.bias; extra "\\u001b\[2Jx{50,80}…x+"$/,
    );
  });
});

describe('numbers in a file', () => {
  /** Puts values of another type in the place of the classifier's bias. */
  const bias = (dtype: 'F16' | 'BF16' | 'F64', data: Uint16Array | Float64Array) => (content: Content) =>
    void content.tensors.set('fc.bias', { dtype, shape: [3], data });

  it('of half precision widen exactly', async () => {
    // Every finite number of F16, by the definition of its value.
    for (let sign = 0; sign < 2; sign++) {
      const all = Uint16Array.from({ length: 0x7c00 }, (_, magnitude) => (sign << 15) | magnitude);
      const values = Array.from(all, (half) => {
        const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
        const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
        return sign === 0 ? magnitude : -magnitude;
      });
      const network: Network = {
        name: 'wide',
        input: [1, 1, 1],
        layers: [linear({ name: 'fc', features: all.length, bias: false })],
      };
      await withFolder(async (folder) => {
        const file = join(folder, 'w.safetensors');
        const tensor: Tensor = { dtype: 'F16', shape: [all.length, 1], data: all };
        await writeSafetensors(file, new Map([['fc.weight', tensor]]));
        const model = await Model.load(file, { network });
        assert.equal(bits(model.parameters), bits(Float32Array.from(values)));
        assert.deepEqual(model.notes, []);
      });
    }
  });

  it('of BF16 widen exactly', async () => {
    const model = await loaded(bias('BF16', Uint16Array.of(0x3f80, 0xc049, 0x0001)));
    assert.deepEqual([...model.tensor('fc.bias')], [1, -3.140625, 2 ** -133]);
    assert.deepEqual(model.notes, []);
  });

  it('of F64 are rounded to float32, and that is noted', async () => {
    const model = await loaded(bias('F64', Float64Array.of(0.1, 1 + 2 ** -24, -1e-50)));
    assert.deepEqual([...model.tensor('fc.bias')], [Math.fround(0.1), 1, -0]);
    assert.deepEqual(model.notes, ['The numbers of 1 tensor are rounded from F64 to float32.']);
    assert.deepEqual((await loaded(bias('F64', Float64Array.of(1, 0.5, -2)))).notes, []);
  });

  it('that are not finite are refused in every type, also those that float32 cannot hold', async () => {
    const found = (value: string): RegExp =>
      new RegExp(`expected fc\\.bias\\[1\\] to be a finite number, found ${value}$`);
    await refused(bias('F16', Uint16Array.of(0, 0x7c00, 0)), found('Infinity'));
    await refused(bias('F16', Uint16Array.of(0, 0xfc01, 0)), found('NaN'));
    await refused(bias('BF16', Uint16Array.of(0, 0xff80, 0)), found('-Infinity'));
    await refused(bias('F64', Float64Array.of(0, NaN, 0)), found('NaN'));
    const large = /expected fc\.bias\[1\] to be a number that float32 can hold, found -1e\+300$/;
    await refused(bias('F64', Float64Array.of(0, -1e300, 0)), large);
  });

  it('of integers are refused', async () => {
    const whole: Tensor = { dtype: 'I32', shape: [3], data: Int32Array.of(1, 2, 3) };
    await refused(
      ({ tensors }) => void tensors.set('fc.bias', whole),
      /wrong fc\.bias is I32 \[3\], expected F32 \[3\]$/,
    );
  });
});

describe('a running variance below 0', () => {
  it('is refused on loading, by tensor and index', async () => {
    await refused(
      ({ tensors }) => void ((tensors.get('bn.running_var')!.data as Float32Array)[2] = -1e-30),
      /expected bn\.running_var\[2\] to be a number >= 0, found -1\.0+[\d.e-]+$/,
    );
  });

  it('is refused on saving, a negative mean and a variance of 0 are not', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      using model = new Model(tinyNetwork());
      model.tensor('bn.running_mean').fill(-1);
      model.tensor('bn.running_var').fill(-0);
      await model.save(file);
      assert.equal(bits((await Model.load(file)).statistics), bits(model.statistics));
      model.tensor('bn.running_var')[1] = -0.5;
      await assert.rejects(model.save(file), {
        name: 'FileError',
        message: `${file}: is not written: bn.running_var[1] is -0.5, expected a number >= 0`,
      });
    });
  });
});

describe('a file’s metadata', () => {
  const meta = (key: string, text: string) => (content: Content) => void (content.metadata[key] = text);

  it('with a loss that is unknown, or that the network cannot have, is at fault itself', async () => {
    await refused(
      meta('loss', 'hinge'),
      /w\.safetensors: expected loss to be one of cross-entropy, .*, received "hinge"$/,
    );
    const map: Network = { ...tinyNetwork(), layers: tinyNetwork().layers.slice(0, 3) };
    await refused(({ tensors, metadata }) => {
      for (const name of ['fc.weight', 'fc.bias']) tensors.delete(name);
      metadata['network'] = JSON.stringify(map);
    }, /w\.safetensors: in the metadata: Expected the network to have one output per class/);
  });

  it('with a loss of another program’s does no harm beside a given network', async () => {
    assert.equal((await loaded(meta('loss', 'hinge'), { network: tinyNetwork() })).loss, 'cross-entropy');
  });

  it('that is nested deeply or has control characters is refused in one line', async () => {
    await refused(
      meta('network', '[{"a":'.repeat(1e5) + '1' + '}]'.repeat(1e5)),
      /w\.safetensors: "network" in the metadata has objects and lists nested more than 500 deep$/,
    );
    const odd = { ...tinyNetwork(), layers: [{ type: `\u001b[31m\n${'x'.repeat(4000)}` }] };
    await refused(meta('network', JSON.stringify(odd)), /in the metadata: layers\.0: .{1,300}$/);
  });
});

describe('a small file of a large network', () => {
  it('is refused before anything is allocated', async () => {
    const features = 2 ** 20;
    const network: Network = {
      name: 'large',
      input: [256, 1, 1],
      layers: [globalAveragePool(), linear({ name: 'fc', features })],
    };
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      await writeSafetensors(file, new Map(), { network: JSON.stringify(network) });
      const Float32 = globalThis.Float32Array;
      let largest = 0;
      globalThis.Float32Array = new Proxy(Float32, {
        construct(target, parameters: [number], as: never): Float32Array {
          if (typeof parameters[0] === 'number') largest = Math.max(largest, parameters[0]);
          return Reflect.construct(target, parameters, as) as Float32Array;
        },
      });
      try {
        await assert.rejects(Model.load(file), /the tensors do not fit the network: missing fc\.weight, fc\.bias$/);
      } finally {
        globalThis.Float32Array = Float32;
      }
      assert.ok(largest < features, `an array of ${largest}`);
    });
  });

  it('is refused if the header has more than the file', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      using model = new Model(tinyNetwork());
      await model.save(file);
      await truncate(file, (await stat(file)).size - 1);
      await assert.rejects(Model.load(file), /the file is truncated$/);
      await writeFile(file, '');
      await assert.rejects(Model.load(file), /0 bytes are too few/);
    });
  });
});

describe('a deeply nested network', () => {
  const nested = (blocks: number): Network => ({
    name: 'nested',
    input: [1, 2, 2],
    layers: [
      ...Array.from({ length: blocks }).reduce<Layer[]>((body) => [residual({ body })], [batchNorm()]),
      globalAveragePool(),
    ],
  });

  it('is refused, or its file can be read', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'w.safetensors');
      using model = new Model(nested(100));
      await model.save(file);
      assert.equal(bits((await Model.load(file)).statistics), bits(model.statistics));
    });
    for (const blocks of [101, 1000]) {
      assert.throws(() => new Model(nested(blocks)), /^InvalidArgumentError: Expected residual blocks to be nested at most 100 deep$/); // prettier-ignore
    }
  });

  it('does not add up blocks beside one another', () => {
    const beside = Array.from({ length: 150 }, () => residual({ body: [batchNorm()] }));
    assert.equal(compile({ ...nested(0), layers: beside }).parameters.length, 300);
  });
});

describe('weights of a new model', () => {
  it('are the arrays themselves', () => {
    const { parameters, statistics } = original;
    using model = new Model(tinyNetwork(), { weights: { parameters, statistics } });
    assert.equal(model.parameters, parameters);
    assert.equal(model.statistics, statistics);
  });

  it('are refused if they are not the network’s', () => {
    const { parameters, statistics } = original;
    const refusedWeights = (weights: unknown, message: RegExp): void => {
      assert.throws(() => new Model(tinyNetwork(), { weights: weights as never }), message);
    };
    refusedWeights({ parameters: parameters.slice(1), statistics }, /weights\.parameters to be a Float32Array of 99, received a Float32Array of 98/); // prettier-ignore
    refusedWeights({ parameters }, /Expected weights\.statistics to be a Float32Array of 8, received undefined/);
    refusedWeights(7, /Expected weights to be an object of parameters and statistics, received 7/);
  });
});
