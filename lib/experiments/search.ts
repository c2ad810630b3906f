import type { Laboratory, Trial } from './training.js';
import { runTrial } from './training.js';

/** The learning rate that a short search found. */
export interface RateSearch {
  readonly rate: number;
  /** Mean training loss of the end of a run, by learning rate. */
  readonly losses: Readonly<Record<string, number>>;
}

/** Makes a short run with every learning rate and takes that of the smallest training loss at its end. */
export async function searchRate(
  rates: readonly number[],
  trialOf: (rate: number) => Trial,
  laboratory: Laboratory,
): Promise<RateSearch> {
  const losses: Record<string, number> = {};
  for (const rate of rates) losses[rate] = (await runTrial(trialOf(rate), laboratory)).loss;
  const [best] = Object.entries(losses).reduce((a, b) => (b[1] < a[1] ? b : a));
  return { rate: Number(best), losses };
}
