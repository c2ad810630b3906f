import type { Divergence, Trial, TrialResult } from './training.js';

/** The learning rate that a short search found. */
export interface RateSearch {
  readonly rate: number;
  /** Mean training loss of the last tenth of a run, by learning rate; null where it diverged. */
  readonly losses: Readonly<Record<string, number | null>>;
}

/**
 * Makes a short run with every learning rate and takes that of the smallest training loss at its end; the lowest if all diverge,
 * so that what is made with it diverges or not by itself, and other methods go on.
 */
export async function searchRate(
  rates: readonly number[],
  trialOf: (rate: number) => Trial,
  make: (trial: Trial) => Promise<TrialResult | Divergence>,
): Promise<RateSearch> {
  const losses: Record<string, number | null> = {};
  let found: { rate: number; loss: number } | undefined;
  for (const rate of rates) {
    const result = await make(trialOf(rate));
    const loss = 'diverged' in result ? null : result.loss;
    losses[rate] = loss;
    if (loss !== null && (!found || loss < found.loss)) found = { rate, loss };
  }
  return { rate: found?.rate ?? Math.min(...rates), losses };
}
