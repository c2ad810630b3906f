/**
 * The process whose memory `measureMemory` looks at: it queries the first coordinate, whose change passes everywhere, on
 * every thread, and a few of every other part, twice: the second time with the buffers of the first.
 *
 * @module
 */
import { once } from 'node:events';
import { Model } from '../model.js';
import { Random } from '../random.js';
import type { MemoryAnswer, MemoryTask } from './memory.js';
import { stratified } from './stratified.js';
import { benchBatch } from './sweeps.js';

const [{ network, batchSize, mode, threads, memory, mu, seed }] = (await once(process, 'message')) as [MemoryTask];
const batch = benchBatch(batchSize);
const idleBytes = process.memoryUsage.rss();
const model = new Model(network, { seed, threads, memory });
const all = Uint32Array.from({ length: model.parameterCount }, (_, i) => i);
const others = stratified(all.subarray(threads), 4 * threads, new Random(seed, 'samples'));
const coordinates = Uint32Array.of(...all.subarray(0, threads), ...others);
for (let i = 0; i < 2; i++) await model.coordinatewise(batch, { mu, coordinates, reuse: mode });
const answer: MemoryAnswer = { idleBytes, peakBytes: 1024 * process.resourceUsage().maxRSS };
process.send!(answer);
process.disconnect();
