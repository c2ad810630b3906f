/**
 * CGE against PyTorch on the same cores: a sweep of ours with incremental queries, then PyTorch's with no reuse, block-level
 * and layer-level reuse in each layout, in turn, in one run. On both sides a sweep is the unperturbed pass and the mean time
 * of a query times the number of parameters, over a stratified sample of coordinates that is another in every round; with
 * --coordinates 0 the sweep is whole. PyTorch runs as one process with all threads and as one process a thread; of that
 * and of the layouts, the faster counts, under the fastest allocator that is installed (apt-get install libtcmalloc-minimal4
 * libjemalloc2). The two sides' gradients are compared first.
 *
 *     apt-get install python3-torch
 *     npx tsx bench/peers/cge.ts [--network resnet20|cnn] [--depth 5] [--batch-size 256] [--threads 2] [--rounds 5]
 *                                [--coordinates 32] [--ours 1024] [--modes none,block,layer]
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { cnn, machine, Model, resnet20 } from 'deepzero';

import { syntheticBatch } from '../support/networks.js';
import { median, ratio } from '../support/statistics.js';
import { stratified } from '../support/stratified.js';
import { unperturbedPass } from '../sweeps.js';
import { bytes, fastestAllocator, LAYOUTS, Peer } from './peer.js';

const MU = 5e-3;
/** For the comparison of values: so large that losses subtracted in float32 keep some digits. */
const COMPARED_MU = 0.05;
/** Coordinates whose values are compared. */
const COMPARED = 48;

const { values: options } = parseArgs({
  options: {
    network: { type: 'string', default: 'resnet20' },
    depth: { type: 'string', default: '5' },
    'batch-size': { type: 'string', default: '256' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '5' },
    coordinates: { type: 'string', default: '32' },
    ours: { type: 'string' },
    modes: { type: 'string', default: 'none,block,layer' },
  },
});
const batchSize = Number(options['batch-size']);
const threads = Number(options.threads);
// The CNN's whole sweep is a matter of a second.
const oursTimed = Number(options.ours ?? (options.network === 'cnn' ? 0 : 1024));
const modes = options.modes.split(',');
const network = options.network === 'cnn' ? cnn({ depth: Number(options.depth) }) : resnet20();

interface Answer {
  base: number;
  seconds: number;
  values: number[];
}

/** PyTorch's processes together: the coordinates are dealt out, and the slowest counts. */
async function ask(peers: readonly Peer[], request: object, coordinates: Uint32Array): Promise<Answer> {
  const answers = (await Promise.all(
    peers.map((peer, i) =>
      peer.ask({ mu: MU, ...request, coordinates: [...coordinates.filter((_, at) => at % peers.length === i)] }),
    ),
  )) as unknown as Answer[];
  const values = [...coordinates].map((_, at) => answers[at % peers.length]!.values[Math.floor(at / peers.length)]!);
  return {
    base: Math.max(...answers.map(({ base }) => base)),
    seconds: Math.max(...answers.map(({ seconds }) => seconds)),
    values,
  };
}

function relativeError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const norm = (values: number[]): number => Math.hypot(...values);
  const differences = Array.from(actual, (value, i) => value - expected[i]!);
  return norm(differences) / norm(Array.from(expected));
}

const folder = await mkdtemp(join(tmpdir(), 'deepzero-cge-'));
const together: Peer[] = [];
const apart: Peer[] = [];
try {
  const batch = syntheticBatch(batchSize);
  using model = new Model(network, { seed: 1, threads });
  const d = model.parameterCount;
  const all = Uint32Array.from({ length: d }, (_, i) => i);
  const sample = (count: number, round: number): Uint32Array => (count === 0 ? all : stratified(all, count, round));
  const files = { weights: join(folder, 'weights'), images: join(folder, 'images'), labels: join(folder, 'labels') };
  await writeFile(files.weights, bytes(model.parameters));
  await writeFile(files.images, bytes(batch.images));
  await writeFile(files.labels, bytes(batch.labels!));
  const tensors = model.compiled.parameters.map(({ name, shape }) => ({ name, shape }));
  const load = { network: options.network, tensors, ...files, count: batchSize };
  const allocator = await fastestAllocator('cge.py', async (candidate) => {
    await candidate.ask(load);
    const few = {
      threads,
      layout: LAYOUTS[0],
      mode: 'none',
      mu: MU,
      coordinates: [...stratified(all, 4, 1)],
    };
    return (await candidate.ask(few))['seconds'] as number;
  });
  together.push(new Peer('cge.py', allocator));
  for (let i = 0; i < threads; i++) apart.push(new Peer('cge.py', allocator));
  let version: unknown;
  for (const peer of [...together, ...apart]) ({ version } = await peer.ask(load));
  console.log(`CGE of ${network.name}, ${d} parameters, batch ${batchSize}, ${threads} threads`);
  console.log(`deepzero (${machine().isa}) against PyTorch ${String(version)} (${allocator.name})`);

  const compared = stratified(all, COMPARED, 0xffff);
  const ours = await model.coordinatewise(batch, { mu: COMPARED_MU, coordinates: compared });
  const subtracted = await model.coordinatewise(batch, { mu: COMPARED_MU, coordinates: compared, reuse: 'layer' });
  for (const mode of modes) {
    const theirs = await ask(together, { threads, layout: LAYOUTS[0], mode, mu: COMPARED_MU }, compared);
    const error = relativeError(theirs.values, ours.values);
    const own = relativeError(subtracted.values, ours.values);
    console.log(
      `  ${mode}: differs from ours by ${error.toExponential(1)}; our subtraction of losses by ${own.toExponential(1)}`,
    );
    if (!(error < 0.01)) throw new Error('The two sides do not compute the same');
  }

  // By side and round: what the unperturbed pass took, and what the queries took, and how many they were.
  const timings = new Map<string, { base: number; seconds: number; count: number }[]>();
  const add = (side: string, base: number, seconds: number, count: number): void => {
    timings.set(side, [...(timings.get(side) ?? []), { base, seconds, count }]);
  };
  const rounds = Number(options.rounds);
  for (let round = 0; round < rounds; round++) {
    const timed = async (work: () => Promise<unknown>): Promise<number> => {
      const start = performance.now();
      await work();
      return (performance.now() - start) / 1000;
    };
    const coordinates = sample(oursTimed, round);
    const base = await timed(() => unperturbedPass(model, batch, { mode: 'incremental', mu: MU }));
    const taken = await timed(() => model.coordinatewise(batch, { mu: MU, coordinates }));
    add('deepzero', base, taken, coordinates.length);
    const theirs = sample(Number(options.coordinates), round);
    for (const mode of modes) {
      for (const layout of LAYOUTS) {
        const one = await ask(together, { threads, layout, mode }, theirs);
        add(`${mode}, ${layout}, 1 process`, one.base, one.seconds, theirs.length);
        if (threads === 1) continue;
        const many = await ask(apart, { threads: 1, layout, mode }, theirs);
        add(`${mode}, ${layout}, ${threads} processes`, many.base, many.seconds, theirs.length);
      }
    }
    console.error(`round ${round + 1} of ${rounds}`);
  }

  // Ours is timed as one call, from which the quickest unperturbed pass is taken off: no query seems quicker than it is.
  const ownBase = Math.min(...timings.get('deepzero')!.map(({ base }) => base));
  const sweeps = new Map<string, number[]>();
  for (const [side, times] of timings) {
    sweeps.set(
      side,
      times.map(({ base, seconds, count }) => {
        const [before, queries] = side === 'deepzero' ? [ownBase, seconds - ownBase] : [base, seconds];
        return before + (queries / count) * d;
      }),
    );
  }
  const own = sweeps.get('deepzero')!;
  const line = (side: string, times: readonly number[]): string => {
    const { median: middle, low, high } = ratio(times, own);
    const spread = `${middle.toFixed(2)}× (${low.toFixed(2)} … ${high.toFixed(2)})`;
    const rate = d / median(times);
    return `  ${side.padEnd(36)}${median(times).toFixed(2).padStart(12)} s${rate.toFixed(1).padStart(12)} queries/s   ${spread}`;
  };
  console.log(`a sweep of ${d} queries, median of ${rounds} rounds, and its ratio to ours (quartiles):`);
  for (const [side, times] of sweeps) console.log(line(side, times));
  console.log("PyTorch's best:");
  for (const mode of modes) {
    const [best] = [...sweeps]
      .filter(([side]) => side.startsWith(`${mode},`))
      .sort((a, b) => median(a[1]) - median(b[1]));
    console.log(line(...best!));
  }
} finally {
  for (const peer of [...together, ...apart]) peer.end();
  await rm(folder, { recursive: true });
}
