/**
 * Running a native job: abort signals in, errors with names and steps out.
 *
 * @module
 */
import * as check from '../support/check.js';
import type { Coordinate } from '../network/coordinates.js';
import type { NativeError, NativeJob, NativeProgress } from './addon.js';

/** How a long call is watched and stopped. */
export interface Watch {
  /**
   * Aborting rejects the call with the signal's reason and leaves every parameter as it was: within 100 ms on images as small as
   * CIFAR-10's, else once each thread has taken the sixteen images in hand to the next convolution's end.
   */
  signal?: AbortSignal | undefined;
  /** Called at most every 50 ms with the queries (coordinates or directions) done and in all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
  /** The training step this is part of, from 0; errors carry it. */
  step?: number | undefined;
}

/** Refuses what cannot watch or stop a call, before anything is computed. */
export function checkWatch({ signal, onProgress }: Watch): void {
  check.abortSignal(signal, 'signal');
  check.callback(onProgress, 'onProgress');
}

/**
 * A loss was NaN or infinite, so there is no estimate, or a step would have made the model so. Parameters and optimizer state
 * are those of the last finished step.
 */
export class NonFiniteLossError extends Error {
  readonly code = 'DEEPZERO_NON_FINITE_LOSS';
  override readonly name = 'NonFiniteLossError';
  /** The training step, from 0; null outside a run. */
  readonly step: number | null;
  /**
   * The coordinate that was perturbed, or that was not finite before; null for the unperturbed loss, random directions, and a
   * step's update, whose message names the number.
   */
  readonly coordinate: Coordinate | null;

  constructor(problem: string, step: number | null, coordinate: Coordinate | null) {
    const at = step === null ? '' : `At step ${step}: `;
    super(`${at}expected a finite loss, but ${problem}`.replace(/^e/, 'E'));
    this.step = step;
    this.coordinate = coordinate;
  }
}

/**
 * Starts a job and waits for it. An aborted signal cancels it, and the promise rejects with the signal's reason, also if the
 * job was quicker: after an abort nothing arrives.
 *
 * @param start Makes the job; it gets the callback for progress.
 */
export async function runJob<T>(start: (progress?: NativeProgress) => NativeJob<T>, watch: Watch): Promise<T> {
  checkWatch(watch);
  const { signal, onProgress } = watch;
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

/** Whether a native job failed because a loss was not finite; `coordinate` then says where. */
export function isNonFinite(error: unknown): error is NativeError & { coordinate: number } {
  return isNativeError(error) && error.code === 'DEEPZERO_NON_FINITE';
}

function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && 'code' in error;
}
