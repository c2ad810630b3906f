/**
 * Networks that are dropped without `release`: V8 collects them by the native memory that they keep.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { outputOf } from '../../scripts/run.js';

const NETWORKS = 60;

/** Makes networks, each with the buffers of a batch, and drops them; prints by how many networks' memory the process grew at most. */
const DROPPING = `
  const { native } = await import('./lib/native/addon.ts');
  const [count, size] = [1024, 64];
  const [none, images, targets] = [0, count * size * size, count].map((length) => new Float32Array(length));
  const point = { parameters: none, statistics: none, images, targets, count, threads: 1 };
  const request = { ...point, loss: 'mean-squared-error', training: true };
  const mean = { kind: 'averagePool', inputs: [0], kernel: [size, size], stride: 1 };
  const before = process.memoryUsage.rss();
  let [most, bytes] = [0, 0];
  for (let i = 0; i < ${NETWORKS}; i++) {
    const network = new native.Network([1, size, size], [mean]);
    bytes = network.memory('evaluate', request, Infinity).bytes;
    await network.evaluate(request).promise;
    most = Math.max(most, process.memoryUsage.rss() - before);
  }
  console.log(most / bytes);`;

describe('dropped networks', () => {
  it('are collected as they take native memory, not when the JavaScript heap is full', () => {
    const grown = Number(outputOf(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', DROPPING]));
    assert.ok(grown > 1 && grown < NETWORKS / 3, `the process grew by ${grown} networks' memory`);
  });
});
