import { InvalidArgumentError } from '../support/check.js';
import type { Command } from './command.js';
import { command } from './command.js';
import {
  computeOptions,
  DATA,
  dataHelp,
  loadData,
  normalisationOptions,
  openModel,
  optionalNetworkOptions,
  whole,
} from './inputs.js';
import { number, text } from './options.js';
import { counted, grouped, percent } from './output.js';

export const evaluate: Command = command({
  name: 'eval',
  summary: 'Measures loss and accuracy of a weights file on the test images.',
  options: {
    weights: text('FILE', { help: "safetensors, of this package or with PyTorch's tensor names; required" }),
    ...optionalNetworkOptions('needed unless the weights file says it'),
    data: text(DATA, { help: `${dataHelp}; required` }),
    ...normalisationOptions,
    batchSize: number(whole(1), { help: 'images at a time', default: 256 }),
    ...computeOptions,
  },
  async run(values, { output, signal }) {
    const { weights, data, batchSize } = values;
    if (weights === undefined) throw new InvalidArgumentError('Expected --weights FILE');
    if (data === undefined) throw new InvalidArgumentError(`Expected --data ${DATA}, what to evaluate on`);
    const { test } = await loadData({ ...values, data });
    using model = await openModel({ ...values, weights }, test.classes);
    const { accuracy, loss, count } = await model.evaluate(test, {
      batchSize,
      signal,
      onProgress: (done, total) => {
        output.status(`${grouped(done)} of ${grouped(total)} images`);
      },
    });
    output.line(`${model.network.name} on ${counted(count, 'image')} of ${test.name}`);
    output.line(`accuracy ${percent(accuracy ?? NaN)}  loss ${loss.toFixed(4)}`);
    return { accuracy, loss, count };
  },
});
