import type { Command } from './command.js';
import { command, option } from './command.js';
import {
  computeOptions,
  loadData,
  namedDataOption,
  normalisationOptions,
  openModel,
  optionalNetworkOptions,
} from './inputs.js';
import { evaluateOptions } from '../model/options.js';
import { string } from '../support/schema.js';
import { counted, grouped, percent } from './output.js';
import { inline } from '../support/errors.js';

export const evaluate: Command = command({
  name: 'eval',
  summary: 'Measures loss and accuracy of a weights file on the test images.',
  options: {
    weights: option(string, {
      placeholder: 'FILE',
      help: "safetensors, of this package or with PyTorch's tensor names",
    }),
    batchSize: option(evaluateOptions.entries.batchSize, { help: 'images at a time' }),
    ...optionalNetworkOptions('the network in the weights file'),
    data: namedDataOption,
    ...normalisationOptions,
    ...computeOptions,
  },
  async run(values, { output, signal }) {
    const { test } = await loadData(values);
    using model = await openModel(values, test.classes, output);
    const { accuracy, loss, count } = await model.evaluate(test, {
      batchSize: values.batchSize,
      signal,
      onProgress: (done, total) => {
        output.status(`${grouped(done)} of ${grouped(total)} images`);
      },
    });
    output.line(`${inline(model.network.name)} on ${counted(count, 'image')} of ${inline(test.name)}`);
    output.line(`accuracy ${percent(accuracy ?? NaN)}  loss ${loss.toFixed(4)}`);
    return { accuracy, loss, count };
  },
});
