/**
 * Starts job-worker.ts, without loading the addon in this thread.
 *
 * @module
 */
import { Worker } from 'node:worker_threads';

/** A worker on job-worker.ts. The loader of TypeScript does not reach a worker's first module, so that one registers it. */
export function startWorker(job: 'short' | 'endless'): Worker {
  const module = JSON.stringify(new URL('job-worker.ts', import.meta.url).href);
  const text = `import('tsx/esm/api').then(({ register }) => (register(), import(${module})))`;
  return new Worker(text, { eval: true, workerData: job });
}
