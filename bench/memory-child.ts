/**
 * The process that `measureMemory` observes: it queries twice, the second time with the buffers of the first.
 *
 * @module
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import { Model } from 'deepzero';

import type { MemoryAnswer, MemoryTask } from './memory.js';
import { queried } from './memory.js';
import { syntheticBatch } from './support/networks.js';

const [{ network, batchSize, mode, threads, memory, mu, seed }] = (await once(process, 'message')) as [MemoryTask];
const batch = syntheticBatch(batchSize);
const idleBytes = process.memoryUsage.rss();
const model = new Model(network, { seed, threads, memory });
const coordinates = queried(model.parameterCount, threads, seed);
for (let i = 0; i < 2; i++) await model.coordinatewise(batch, { mu, coordinates, reuse: mode });
// Not resourceUsage().maxRSS, which counts the parent's memory at the fork too.
const [, kilobytes] = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))!;
const answer: MemoryAnswer = { idleBytes, peakBytes: 1024 * Number(kilobytes) };
process.send!(answer);
process.disconnect();
