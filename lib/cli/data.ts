import { InvalidArgumentError } from '../support/check.js';
import { writeCifar10 } from '../data/cifar10.js';
import { MOST_IMAGES, synthetic } from '../data/synthetic.js';
import type { Command } from './command.js';
import { command } from './command.js';
import { countClasses, DATA, dataHelp, inWords, loadData, whole } from './inputs.js';
import { number, text } from './options.js';
import { grouped, table } from './output.js';

export const dataSynthetic: Command = command({
  name: 'data synthetic',
  summary: 'Writes the generated ten-class data set as CIFAR-10 binary files.',
  options: {
    out: text('DIR', { help: 'folder to write to; required' }),
    train: number(whole(5, MOST_IMAGES), { help: 'training images, spread over five files', default: 5000 }),
    test: number(whole(1, MOST_IMAGES), { help: 'test images', default: 1000 }),
    seed: number(whole(0), { help: 'another seed draws other images', default: 0 }),
  },
  async run({ out, train, test, seed }, { output }) {
    if (out === undefined) throw new InvalidArgumentError('Expected --out DIR, the folder to write to');
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
    const { train, test, missing = [] } = sets;
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
      mean: train.mean,
      std: train.std,
    };
  },
});
