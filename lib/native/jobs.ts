/**
 * Runs native jobs under abort signals.
 *
 * @module
 */
import * as v from 'valibot';

import { abortSignal, callback, integer } from '../support/schema.js';
import type { NativeError, NativeJob, NativeProgress } from './addon.js';

export const progressOptions = v.strictObject({
  /**
   * Aborting rejects the call with the signal's reason and leaves every parameter unchanged: within 100 ms on images as small as
   * CIFAR-10's, on larger ones as soon as each thread has finished a convolution of its current sixteen images.
   */
  signal: v.optional(abortSignal),
  /** Called at most every 50 ms with the queries (coordinates or directions) done and their total. */
  onProgress: v.optional(callback<(done: number, total: number) => void>()),
});

export const callOptions = v.strictObject({
  ...progressOptions.entries,
  /** The training step that the call is part of, an integer from 0 to 2³² − 1; errors carry it. */
  step: v.optional(integer(0, 2 ** 32 - 1)),
});
/** Options of long calls: abort, progress, and the step for error messages. */
export interface CallOptions extends v.InferInput<typeof callOptions> {}

/**
 * Starts a job and waits for it. An aborted signal cancels it, and the promise rejects with the signal's reason, even if
 * the job finished before the cancellation: no result arrives after an abort.
 *
 * @param start Makes the job with the callback for progress.
 */
export async function runJob<T>(start: (progress?: NativeProgress) => NativeJob<T>, options: CallOptions): Promise<T> {
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const job = start(onProgress);
  const cancel = (): void => {
    job.cancel();
  };
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    const result = await job.promise;
    signal?.throwIfAborted();
    return result;
  } catch (error) {
    if (isNativeError(error) && error.code === 'DEEPZERO_CANCELLED') signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/** Calls `use` with a signal that aborts when the given one does, with its reason, and when `use` fails. */
export async function withSignal<T>(
  outer: AbortSignal | undefined,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  outer?.throwIfAborted();
  const inner = new AbortController();
  const abort = (): void => {
    inner.abort(outer?.reason);
  };
  outer?.addEventListener('abort', abort, { once: true });
  try {
    return await use(inner.signal);
  } catch (error) {
    inner.abort(error);
    throw error;
  } finally {
    outer?.removeEventListener('abort', abort);
  }
}

/** A callback that hands on to `report` at most one call in so many milliseconds. */
export function atMostEvery(milliseconds: number, report: CallOptions['onProgress']): CallOptions['onProgress'] {
  if (!report) return undefined;
  let last = performance.now();
  return (done, total) => {
    if (performance.now() - last < milliseconds) return;
    last = performance.now();
    report(done, total);
  };
}

/** Whether a native job failed because a loss was not finite; `coordinate` then names the query. */
export function isNonFinite(error: unknown): error is NativeError & { coordinate: number } {
  return isNativeError(error) && error.code === 'DEEPZERO_NON_FINITE';
}

function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && 'code' in error;
}
