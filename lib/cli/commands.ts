import { benchCommands } from './bench.js';
import type { Command } from './command.js';
import { dataInfo, dataSynthetic } from './data.js';
import { evaluate } from './eval.js';
import { gradcheck } from './gradcheck.js';
import { experimentCommands } from './experiment.js';
import { info } from './info.js';
import { prune } from './prune.js';
import { train } from './train.js';

/** Every command, in the order of the overview. */
export const commands: readonly Command[] = [
  train,
  prune,
  evaluate,
  gradcheck,
  dataSynthetic,
  dataInfo,
  info,
  ...benchCommands,
  ...experimentCommands,
];
