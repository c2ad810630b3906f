/**
 * Timing several things against each other on a machine that is not quiet: they take turns, so that what slows the machine
 * down for a while slows all of them.
 *
 * @module
 */
import { performance } from 'node:perf_hooks';

/** Something to time. */
export interface Contender {
  readonly name: string;
  readonly run: () => Promise<unknown>;
  /** Runs it and returns the seconds, where a run also does what must not count. Takes the sampler's place. */
  readonly sample?: () => Promise<number>;
}

/** Takes one timing: the seconds of a call, of one or of the mean of several. */
export type Sampler = (contender: Contender) => Promise<number>;

/** How a benchmark is run. */
export interface Session {
  readonly sampler: Sampler;
  /** Measuring time of each contender, about. */
  readonly seconds: number;
  readonly signal?: AbortSignal | undefined;
  /** Told what is being measured. */
  readonly onStatus?: (text: string) => void;
}

/** One call by the wall clock. */
export const wallClock: Sampler = async ({ run }) => {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
};

/** The shortest of a few calls, which others have disturbed least. */
export async function quickest(contender: Contender): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) times.push(await wallClock(contender));
  return Math.min(...times);
}

/** Rounds that even slow contenders take. */
export const LEAST_ROUNDS = 3;
/** What the calls of one contender should take in a round, as a part of its measuring time. */
export const ROUNDS = 5;
/** Beyond this a sample says nothing more. */
const MOST_ROUNDS = 200;

/** Each contender's timings, one a round, in the order of the contenders. They have run before: nothing warms up here. */
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
