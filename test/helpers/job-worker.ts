/**
 * A worker that runs the job its `workerData` names: it posts the estimate, or 'running' once an endless job has begun.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { endlessJob, makeNetwork, shortJob } from './native-jobs.js';

const network = makeNetwork();
if (workerData === 'endless') {
  const running = (): void => parentPort?.postMessage('running');
  await network.randomized(endlessJob(), running).promise;
} else {
  const { values } = await network.coordinatewise(shortJob()).promise;
  parentPort?.postMessage(values);
}
