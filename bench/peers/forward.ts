/**
 * ResNet-20's forward pass, batch norm in training mode, against PyTorch on the same cores: one pass of ours, then one of
 * PyTorch's in each layout, in turn, in one run. Our time includes copying the images in and the change of layout;
 * PyTorch's images lie in its layout beforehand. The two sides' outputs are compared first.
 *
 *     apt-get install python3-torch
 *     npx tsx bench/peers/forward.ts [--batch-size 256] [--threads 2] [--rounds 15]
 *
 * PyTorch runs under the fastest allocator that is installed (apt-get install libtcmalloc-minimal4 libjemalloc2). One run times
 * one number of threads. PYTHON names the interpreter, by default Debian's.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { machine, Model, resnet20 } from 'deepzero';

import { syntheticBatch } from '../support/networks.js';
import { median } from '../support/statistics.js';
import { bytes, fastestAllocator, LAYOUTS, Peer } from './peer.js';

const { values: options } = parseArgs({
  options: {
    'batch-size': { type: 'string', default: '256' },
    threads: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '15' },
  },
});
const batchSize = Number(options['batch-size']);
const rounds = Number(options.rounds);
const threads = Number(options.threads);

const folder = await mkdtemp(join(tmpdir(), 'deepzero-forward-'));
let peer: Peer | undefined;
try {
  const batch = syntheticBatch(batchSize);
  using model = new Model(resnet20(), { seed: 1, threads });
  const files = { weights: join(folder, 'weights'), images: join(folder, 'images'), outputs: join(folder, 'outputs') };
  await writeFile(files.weights, bytes(model.parameters));
  await writeFile(files.images, bytes(batch.images));
  const load = { weights: files.weights, images: files.images, count: batchSize };
  const allocator = await fastestAllocator('forward.py', async (candidate) => {
    await candidate.ask(load);
    return (await candidate.ask({ threads, layout: LAYOUTS[0] }))['seconds'] as number;
  });
  peer = new Peer('forward.py', allocator);
  const { version } = await peer.ask(load);
  await peer.ask({ threads, layout: 'contiguous' });
  await peer.ask({ outputs: files.outputs });
  const theirs = new Float32Array(new Uint8Array(await readFile(files.outputs)).buffer);
  const { outputs: ours } = await model.forward(batch, { training: true });
  const difference = Math.max(...ours.map((value, i) => Math.abs(value - theirs[i]!)));
  console.log(
    `ResNet-20, batch ${batchSize}, deepzero (${machine().isa}) against PyTorch ${String(version)} (${allocator.name})`,
  );
  console.log(`largest difference of an output: ${difference.toExponential(1)}`);
  if (!(difference < 1e-3)) throw new Error('The two sides do not compute the same');

  const seconds: Record<string, number[]> = {};
  for (let round = 0; round <= rounds; round++) {
    const start = performance.now();
    await model.forward(batch, { training: true });
    const timed: [string, number][] = [['deepzero', (performance.now() - start) / 1000]];
    for (const layout of LAYOUTS) timed.push([layout, (await peer.ask({ threads, layout }))['seconds'] as number]);
    // The first round warms both sides up.
    if (round > 0) for (const [side, time] of timed) (seconds[side] ??= []).push(time);
  }
  console.log(`${threads} thread${threads > 1 ? 's' : ''}, median of ${rounds} rounds:`);
  for (const [side, times] of Object.entries(seconds)) {
    const ratio = median(times.map((time, i) => time / seconds['deepzero']![i]!));
    const name = side === 'deepzero' ? side : `PyTorch, ${side}`;
    console.log(`  ${name.padEnd(24)} ${(1000 * median(times)).toFixed(1).padStart(7)} ms   ${ratio.toFixed(2)}×`);
  }
} finally {
  peer?.end();
  await rm(folder, { recursive: true });
}
