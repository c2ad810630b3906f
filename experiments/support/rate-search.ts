import type { Divergence, Trial, TrialResult } from './trial.js';

/** The result of a search for a learning rate. */
export interface RateSearch {
  readonly rate: number;
  /** Mean training loss of the last tenth of a run, by learning rate; null where it diverged. */
  readonly losses: Readonly<Record<string, number | null>>;
}

/**
 * Makes a short run with every learning rate and chooses the one with the smallest training loss at its end. If all diverge, it
 * is the lowest rate: runs with it are made and may diverge too, while other methods go on.
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
