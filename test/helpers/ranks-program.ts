/**
 * A program for ranks: `ranks-program.ts MODE`.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cge,
  type Estimator,
  Model,
  conv2d,
  outputsLoss,
  rankCount,
  relu,
  resnet,
  rge,
  rollout,
  sgd,
  TensorDataset,
  train,
  zoGrasp,
  type ModelOptions,
  type Dataset,
  type Reals,
} from '../../lib/index.js';
import { meanCrossEntropy } from './outputs.js';
import { tinyImages, tinyNetwork, whole } from './tiny.js';

const [, script = '', mode = ''] = process.argv;

const THREADS = Number(process.env['RANKS_THREADS'] ?? 1);
const images = tinyImages();
const context = { seed: 1, step: 0, epoch: 0 };
/** So many take longer than a test may. */
const endless = rge({ mu: 5e-3, queries: 2 ** 21 });
const tiny = (options: ModelOptions = {}): Model => new Model(tinyNetwork(), { seed: 1, threads: THREADS, ...options });

const ESTIMATORS: Record<string, Estimator> = {
  cge: cge({ mu: 5e-3 }),
  'sparse cge': cge({ mu: 5e-3, sparsity: 0.5, redrawEvery: 1 }),
  'central cge': cge({ mu: 5e-3, central: true }),
  'cge without reuse': cge({ mu: 5e-3, sparsity: 0.7, reuse: 'none' }),
  'cge, reuse of blocks': cge({ mu: 5e-3, sparsity: 0.7, reuse: 'block' }),
  'cge, reuse of layers': cge({ mu: 5e-3, central: true, reuse: 'layer' }),
  'fewer coordinates than ranks': cge({ mu: 5e-3, coordinates: Uint32Array.of(5) }),
  'gaussian rge': rge({ mu: 5e-3, queries: 7 }),
  'sphere rge': rge({ mu: 5e-3, queries: 5, distribution: 'sphere', perTensor: true }),
  'rademacher rge': rge({ mu: 5e-3, queries: 6, distribution: 'rademacher', central: true, reuse: 'none' }),
  'fewer directions than ranks': rge({ mu: 5e-3, queries: 1 }),
};

function sha256(...arrays: readonly Reals[]): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of arrays as readonly Float32Array[]) {
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}

/** The weights after two steps, and the losses. */
async function trained(model: Model, estimator: Estimator, dataset: Dataset = images): Promise<string> {
  const options = { estimator, optimizer: sgd({ lr: 0.05, momentum: 0.9 }), steps: 2, batchSize: 12, seed: 1 };
  const losses: number[] = [];
  for await (const { loss } of train(model, dataset, options)) losses.push(loss);
  return sha256(model.parameters, model.statistics, Float64Array.from(losses));
}

/** The weights of a policy after two steps; the path of linear.c, built, is in SIMULATOR. */
async function trainedThroughSimulator(estimator: Estimator): Promise<string> {
  const layers = [conv2d({ channels: 3, kernel: 3, padding: 1 }), relu(), conv2d({ channels: 1, kernel: 1 })];
  const loss = rollout({ simulator: process.env['SIMULATOR']!, config: '6', steps: 3 });
  const model = new Model({ name: 'policy', input: [1, 1, 6], layers }, { loss, seed: 1, threads: THREADS });
  const numbers = (length: number): Float32Array =>
    Float32Array.from({ length }, (_, i) => Math.sin(12.9898 * (i + 1)));
  const trajectories = { images: numbers(12 * 7), shape: [7, 1, 1], targets: numbers(12 * 18) } as const;
  return trained(model, estimator, new TensorDataset(trajectories));
}

/** What must be the same on any number of ranks. */
async function results(): Promise<Record<string, unknown>> {
  const all: Record<string, unknown> = {};
  for (const [name, estimator] of Object.entries(ESTIMATORS)) all[name] = await trained(tiny(), estimator);
  const residual = new Model(resnet({ depth: 8, width: 2, classes: 3, input: [2, 8, 8] }), {
    seed: 1,
    threads: THREADS,
  });
  all['a residual network'] = await trained(residual, cge({ mu: 5e-3, sparsity: 0.95, reuse: 'block' }));
  const loss = outputsLoss('ours', meanCrossEntropy);
  for (const name of ['sparse cge', 'gaussian rge']) {
    all[`${name} of a loss of outputs`] = await trained(tiny({ loss }), ESTIMATORS[name]!);
  }
  for (const name of ['sparse cge', 'gaussian rge']) {
    all[`${name} through a simulator`] = await trainedThroughSimulator(ESTIMATORS[name]!);
  }
  const options = { sparsity: 0.5, queries: 4, samplesPerClass: 2, seed: 1 };
  all['ratios'] = [...Object.entries(await zoGrasp(tiny(), images, options))];
  for (const estimator of [cge({ mu: 1e38 }), rge({ mu: 1e38, queries: 5 })]) {
    const failed = trained(tiny(), estimator).catch((error: unknown) => (error as Error).message);
    all[`${JSON.stringify(estimator.config)} without a finite loss`] = await failed;
  }
  return all;
}

/** Calls `report` as soon as an endless estimate is being computed. */
async function compute(report: () => void): Promise<void> {
  const onProgress = (done: number): void => {
    if (done > 0) report();
  };
  await endless.estimate(tiny(), whole(images), { ...context, onProgress });
}

/** Not among the types of Node. */
const { WebAssembly } = globalThis as unknown as {
  WebAssembly: { instantiate(code: Uint8Array): Promise<{ instance: { exports: { read(address: number): number } } }> };
};

/** (module (memory 1) (func (export "read") (param i32) (result i32) local.get 0 i32.load)) */
const READ = Buffer.from(
  '0061736d0100000001060160017f017f03020100050301000107080104726561640000' + '0a0901070020002802000b',
  'hex',
);

const MODES: Record<string, () => unknown> = {
  async results() {
    console.log(JSON.stringify({ ranks: rankCount(), results: await results() }));
  },
  nothing() {
    console.log(`${rankCount()} ranks`);
  },
  throws() {
    throw new Error('thrown by the script');
  },
  /** Reads outside of the memory of WebAssembly. */
  async traps() {
    const { instance } = await WebAssembly.instantiate(READ);
    try {
      instance.exports.read(2 ** 30);
    } catch (error) {
      console.log((error as Error).message);
    }
  },
  async exits() {
    await compute(() => process.exit(3));
  },
  async computes() {
    await compute(() => {
      console.log('computing');
    });
  },
  /** One short estimate after the other. */
  async steps() {
    for (let step = 0; ; step++) {
      await trained(tiny(), cge({ mu: 5e-3 }));
      if (step === 0) console.log('stepping');
    }
  },
  /** Waits, and ends once its standard input has. */
  async idles() {
    console.log('idle');
    await once(process.stdin.resume(), 'end');
  },
  /** Starts itself, while estimates are shared. */
  async starts() {
    const first = await trained(tiny(), cge({ mu: 5e-3 }));
    const child = execFileSync(process.execPath, [script, 'one'], { encoding: 'utf8' });
    const second = await trained(tiny(), cge({ mu: 5e-3 }));
    console.log(JSON.stringify({ ranks: rankCount(), first, child: JSON.parse(child) as object, second }));
  },
  async one() {
    console.log(JSON.stringify({ ranks: rankCount(), first: await trained(tiny(), cge({ mu: 5e-3 })) }));
  },
};

await MODES[mode]!();
