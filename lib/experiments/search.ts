import { NonFiniteLossError } from '../jobs.js';
import type { Trial, TrialResult } from './training.js';

/** The learning rate that a short search found. */
export interface RateSearch {
  readonly rate: number;
  /** Mean training loss of the last tenth of a run, by learning rate; null where it diverged. */
  readonly losses: Readonly<Record<string, number | null>>;
}

/**
 * Makes a short run with every learning rate and takes that of the smallest training loss at its end.
 *
 * @throws NonFiniteLossError if all diverge.
 */
export async function searchRate(
  rates: readonly number[],
  trialOf: (rate: number) => Trial,
  make: (trial: Trial) => Promise<TrialResult>,
): Promise<RateSearch> {
  const losses: Record<string, number | null> = {};
  let found: { rate: number; loss: number } | undefined;
  let diverged: unknown;
  for (const rate of rates) {
    losses[rate] = null;
    try {
      const { loss } = await make(trialOf(rate));
      losses[rate] = loss;
      if (!found || loss < found.loss) found = { rate, loss };
    } catch (error) {
      if (!(error instanceof NonFiniteLossError)) throw error;
      diverged = error;
    }
  }
  if (!found) throw diverged;
  return { rate: found.rate, losses };
}
