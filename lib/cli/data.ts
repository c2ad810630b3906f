import { join } from 'node:path';

import * as v from 'valibot';

import { writeCifar10 } from '../data/cifar10.js';
import { MOST_IMAGES, synthetic, syntheticOptions } from '../data/synthetic.js';
import type { Command } from './command.js';
import { command, option } from './command.js';
import { checkDestination, makeFolder } from '../support/files.js';
import { integer, string } from '../support/schema.js';
import { countClasses, DATA, dataHelp, inWords, loadData, seedOption } from './inputs.js';
import { grouped, table } from './output.js';

export const dataSynthetic: Command = command({
  name: 'data synthetic',
  summary: 'Writes the generated ten-class data set as CIFAR-10 binary files.',
  options: {
    out: option(string, { placeholder: 'DIR', help: 'folder to write to' }),
    train: option(v.optional(integer(5, MOST_IMAGES), 5000), { help: 'training images, spread over five files' }),
    test: option(syntheticOptions.entries.test, { help: 'test images' }),
    seed: { ...seedOption, help: 'another seed draws other images' },
  },
  async run({ out, train, test, seed }, { output }) {
    await makeFolder(out);
    await checkDestination(join(out, 'test_batch.bin'));
    const files = await writeCifar10(out, synthetic({ seed, train, test }));
    for (const file of files) output.line(file);
    return { out, files, train, test, seed };
  },
});

export const dataInfo: Command = command({
  name: 'data info',
  operands: [DATA],
  summary: 'Checks and summarises a data set.',
  notes: `${DATA}: ${dataHelp}.`,
  options: {},
  async run(_, { output, operands: [data = ''] }) {
    const sets = await loadData({ data });
    const { train, test, missing = [], short = [] } = sets;
    const trainClasses = countClasses(train);
    const testClasses = countClasses(test);
    const rows = train.classNames.map((name, label) => [
      name,
      grouped(trainClasses[label] ?? 0),
      grouped(testClasses[label] ?? 0),
    ]);
    output.line(`${data}: ${inWords(sets)}, ${train.shape.join('×')} in ${train.classes} classes\n`);
    output.line(table([['class', 'train', 'test'], ...rows, ['all', grouped(train.count), grouped(test.count)]]));
    const rounded = (values: readonly number[]): string => values.map((value) => value.toFixed(4)).join(', ');
    output.line(`\nnormalised by mean ${rounded(train.mean)} and std ${rounded(train.std)}`);
    return {
      data,
      shape: train.shape,
      classes: train.classNames,
      train: { count: train.count, classes: trainClasses },
      test: { count: test.count, classes: testClasses },
      missing,
      short,
      mean: train.mean,
      std: train.std,
    };
  },
});
