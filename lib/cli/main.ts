#!/usr/bin/env node
/**
 * The `deepzero` command.
 *
 * @module
 */
import { dataInfo, dataSynthetic } from './data.js';
import { evaluate } from './eval.js';
import { gradcheck } from './gradcheck.js';
import { info } from './info.js';
import { run } from './program.js';
import { prune } from './prune.js';
import { train } from './train.js';

await run({
  call: 'deepzero',
  about: 'Trains neural networks by zeroth-order optimisation: from forward passes alone, without back-propagation.',
  commands: [train, prune, evaluate, gradcheck, dataSynthetic, dataInfo, info],
});
