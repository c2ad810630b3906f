import assert from 'node:assert/strict';
import { join } from 'node:path';
import * as deepzero from '../lib/index.js';
import { tinyImages, tinyNetwork, tinyTensors, whole, withFolder } from './helpers/tiny.js';

const { Model, InvalidArgumentError, FileError } = deepzero;

const JUNK: readonly unknown[] = [null, undefined, Symbol('junk'), {}, 1n, -1, NaN, '', true, [], () => undefined];

/** Calls with one argument replaced by each piece of junk; what is refused must be refused by the library. */
async function refusesJunk(
  name: string,
  call: (...args: unknown[]) => unknown,
  valid: readonly unknown[],
): Promise<void> {
  for (const position of valid.keys()) {
    for (const junk of JUNK) {
      const what = `${name}, argument ${position}: ${String(junk)}`;
      try {
        await call(...valid.with(position, junk));
      } catch (error) {
        const ours = error instanceof InvalidArgumentError || error instanceof FileError;
        assert.ok(ours, `${what}: ${String(error)}`);
        assert.ok(error.message.length < 300 && !error.message.includes('\n'), `${what}: ${error.message}`);
      }
    }
  }
}

describe('the public functions', () => {
  const dataset = tinyTensors(12);
  const images = tinyImages();
  const batch = whole(dataset);
  const at = { seed: 0, step: 0, epoch: 0 };
  const sgd = deepzero.sgd({ lr: 0.1 });
  const estimators = {
    cge: deepzero.cge({ mu: 0.1, coordinates: Uint32Array.of(1) }),
    rge: deepzero.rge({ mu: 0.1, queries: 1 }),
    forwardGradient: deepzero.forwardGradient({ queries: 1 }),
    firstOrder: deepzero.firstOrder(),
    patternSearch: deepzero.patternSearch({ radius: 0.1, queries: 1 }),
  };
  const make = (): deepzero.Model => new Model(tinyNetwork());
  const model = make();
  const coordinates = Uint32Array.of(1);

  const calls: Record<string, [(...args: never[]) => unknown, unknown[]]> = {
    Model: [(...args: ConstructorParameters<typeof Model>) => new Model(...args), [tinyNetwork(), {}]],
    'Model.load': [Model.load.bind(Model), ['none', {}]],
    'model.save': [(file: string) => make().save(file), ['/']],
    'model.tensor': [(name: string) => model.tensor(name), ['fc.bias']],
    'model.parameterIndex': [(one: deepzero.Coordinate) => model.parameterIndex(one), [{ name: 'fc.bias', index: 0 }]],
    'model.parameterName': [(index: number) => model.parameterName(index), [0]],
    'model.forward': [model.forward.bind(model), [batch, {}]],
    'model.evaluate': [model.evaluate.bind(model), [dataset, {}]],
    'model.predict': [model.predict.bind(model), [batch.images, {}]],
    'model.gradient': [model.gradient.bind(model), [batch, {}]],
    'model.coordinatewise': [model.coordinatewise.bind(model), [batch, { mu: 0.1, coordinates }]],
    'model.randomized': [model.randomized.bind(model), [batch, { mu: 0.1, queries: 1 }]],
    'model.reference': [model.reference.bind(model), [batch, { mu: 0.1, coordinates }]],
    gradcheck: [deepzero.gradcheck, [model, batch, { mu: 0.1, coordinates }]],
    train: [deepzero.train, [model, dataset, { estimator: estimators.cge, optimizer: sgd, steps: 1, batchSize: 4 }]],
    cge: [deepzero.cge, [{ mu: 0.1 }]],
    rge: [deepzero.rge, [{ mu: 0.1, queries: 1 }]],
    forwardGradient: [deepzero.forwardGradient, [{ queries: 1 }]],
    firstOrder: [deepzero.firstOrder, [{}]],
    patternSearch: [deepzero.patternSearch, [{ radius: 0.1, queries: 1 }]],
    sgd: [deepzero.sgd, [{ lr: 0.1 }]],
    adam: [deepzero.adam, [{ lr: 0.1 }]],
    constant: [deepzero.constant, [0.1]],
    cosine: [deepzero.cosine, [{ peak: 0.1 }]],
    step: [deepzero.step, [{ initial: 0.1, every: 1 }]],
    cnn: [deepzero.cnn, [{}]],
    resnet: [deepzero.resnet, [{}]],
    resnet20: [deepzero.resnet20, [{}]],
    compile: [deepzero.compile, [tinyNetwork()]],
    grasp: [deepzero.grasp, [model, images, { sparsity: 0.5, samplesPerClass: 1 }]],
    graspImportance: [deepzero.graspImportance, [model, images, { samplesPerClass: 1 }]],
    zoGrasp: [deepzero.zoGrasp, [model, images, { sparsity: 0.5, samplesPerClass: 1, queries: 2 }]],
    zoGraspImportance: [deepzero.zoGraspImportance, [model, images, { samplesPerClass: 1, queries: 2 }]],
    randomPruning: [deepzero.randomPruning, [model, { sparsity: 0.5 }]],
    magnitudePruning: [deepzero.magnitudePruning, [model, { sparsity: 0.5 }]],
    rankedRatios: [deepzero.rankedRatios, [model, model.parameters, 0.5]],
    keptCoordinates: [deepzero.keptCoordinates, [model, 0.5, {}]],
    pruneWeights: [(one: deepzero.Model, ...args: [number]) => deepzero.pruneWeights(one, ...args), [make(), 0.5, {}]],
    ImageDataset: [(options: deepzero.ImageDatasetOptions) => new deepzero.ImageDataset(options), [{}]],
    TensorDataset: [(options: deepzero.TensorDatasetOptions) => new deepzero.TensorDataset(options), [{}]],
    readSafetensors: [deepzero.readSafetensors, ['none']],
    cifar10: [deepzero.cifar10, ['none', {}]],
  };
  for (const [name, estimator] of Object.entries(estimators)) {
    calls[`${name}().estimate`] = [estimator.estimate.bind(estimator), [model, batch, at]];
    calls[`${name}().coordinates`] = [(one: deepzero.Model) => estimator.coordinates?.(one, at), [model]];
    calls[`${name}().queriesPerStep`] = [(one: deepzero.Model) => estimator.queriesPerStep(one), [model]];
  }

  for (const [name, [call, valid]] of Object.entries(calls)) {
    it(`refuse junk in a line of their own: ${name}`, () =>
      refusesJunk(name, call as (...args: unknown[]) => unknown, valid));
  }

  it('refuse junk in a line of their own: writeSafetensors', () =>
    withFolder(async (folder) => {
      const tensors = new Map([['a', { dtype: 'F32', shape: [1], data: new Float32Array(1) }]]);
      const write = deepzero.writeSafetensors as (...args: unknown[]) => unknown;
      await refusesJunk('writeSafetensors', write, [join(folder, 'a'), tensors, {}]);
    }));

  it('tell which option is at fault', () => {
    for (const [action, option] of [
      [() => deepzero.cge({ mu: -1 }), 'mu'],
      [() => deepzero.rge({ mu: 1, queries: 0.5 }), 'queries'],
      [() => deepzero.sgd({ lr: 0 }), 'lr'],
      [() => deepzero.resnet({ depth: 2147483648 }), 'depth'],
      [() => new Model(tinyNetwork(), { threads: 0 }), 'threads'],
    ] as const) {
      assert.throws(action, (error) => error instanceof InvalidArgumentError && error.option === option);
    }
  });
});
