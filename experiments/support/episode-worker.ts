/**
 * Plays episodes in a worker thread, one after another.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';

import type { EpisodeOptions, WalkerName } from '../../examples/walkers.js';
import { walker } from '../../examples/walkers.js';
import type { StateSums } from './whitening.js';

export interface EpisodeRequest extends Omit<EpisodeOptions, 'onState'> {
  readonly policy: Float64Array;
}
export interface EpisodeReply extends StateSums {
  readonly reward: number;
}

const { states, episode } = await walker(workerData as WalkerName);

parentPort!.on('message', ({ policy, ...options }: EpisodeRequest) => {
  const [sums, squares] = [new Array<number>(states).fill(0), new Array<number>(states).fill(0)];
  let count = 0;
  const onState = (state: Float64Array): void => {
    count += 1;
    for (let i = 0; i < states; i++) {
      sums[i]! += state[i]!;
      squares[i]! += state[i]! ** 2;
    }
  };
  const reward = episode(policy, { ...options, onState });
  parentPort!.postMessage({ reward, count, sums, squares } satisfies EpisodeReply);
});
