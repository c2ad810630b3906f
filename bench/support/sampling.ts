/**
 * Timing several contenders on a machine that is not quiet: they take turns, so that a disturbance of some seconds slows all
 * of them.
 *
 * @module
 */
import { performance } from 'node:perf_hooks';

/** A computation to time. */
export interface Contender {
  readonly name: string;
  readonly run: () => Promise<unknown>;
  /** Runs it and returns the seconds, where a run includes work that must not count; used instead of the sampler. */
  readonly sample?: () => Promise<number>;
}

/** Takes one timing: the seconds of one call, or the mean of several. */
export type Sampler = (contender: Contender) => Promise<number>;

/** How a benchmark runs. */
export interface Session {
  readonly sampler: Sampler;
  /** Measuring time of each contender, about. */
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with the name of the contender that is being timed. */
  readonly onStatus?: (text: string) => void;
}

/** One call by the wall clock. */
export const wallClock: Sampler = async ({ run }) => {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
};

/** The shortest of three calls, the one that other processes disturbed least. */
export async function quickest(contender: Contender): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) times.push(await wallClock(contender));
  return Math.min(...times);
}

/** Rounds at the least, however slow the contenders are. */
export const LEAST_ROUNDS = 3;
/** The measuring time of a contender is divided into this many rounds, where its calls are short enough. */
export const ROUNDS = 5;
/** More timings do not make a median more precise. */
const MOST_ROUNDS = 200;

/** Each contender's timings, one per round, in the order of the contenders. Callers warm them up before. */
export async function alternate(
  contenders: readonly Contender[],
  { sampler, seconds, signal, onStatus }: Session,
): Promise<number[][]> {
  const timings: number[][] = contenders.map(() => []);
  const end = performance.now() + 1000 * seconds * contenders.length;
  for (let round = 0; round < LEAST_ROUNDS || (performance.now() < end && round < MOST_ROUNDS); round++) {
    for (const [i, contender] of contenders.entries()) {
      signal?.throwIfAborted();
      onStatus?.(`${contender.name}, round ${round + 1}`);
      timings[i]!.push(await (contender.sample?.() ?? sampler(contender)));
    }
  }
  return timings;
}
