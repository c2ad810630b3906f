import { checkDestination } from '../support/files.js';
import { keptCounts } from '../estimators/masks.js';
import { Model } from '../model/model.js';
import { sum } from '../support/statistics.js';
import type { Command } from './command.js';
import { command } from './command.js';
import { buildNetwork, computeOptions, dataOption, fraction, loadData, networkOptions, seedOption } from './inputs.js';
import { choice, number, text } from './options.js';
import { checkSamples, findRatios, graspOptions, METHODS, muOption, ratioTable, writeRatios } from './ratios.js';

export const prune: Command = command({
  name: 'prune',
  summary:
    'Finds layer-wise pruning ratios, by ZO-GraSP or otherwise: how much of each layer sparse-CGE may leave out.',
  options: {
    ...networkOptions,
    data: dataOption,
    method: choice(METHODS, {
      help: "ranks weights by ZO-GraSP's score, by GraSP's from back-propagated gradients, at random, or by their magnitude",
      default: 'zo-grasp',
    }),
    sparsity: number(fraction, {
      help: 'fraction of all weights to leave out, from 0 to below 1',
      default: 0.9,
      demo: 0.99,
    }),
    mu: { ...muOption, only: { option: 'method', values: ['zo-grasp'] } },
    ...graspOptions('method'),
    seed: seedOption,
    ...computeOptions,
    out: text('FILE', { help: 'writes the ratios as JSON, for train --ratios FILE' }),
  },
  async run(values, context) {
    const { train } = await loadData(values);
    checkSamples(values.method, values, train);
    if (values.out !== undefined) await checkDestination(values.out);
    const { seed, threads, memory } = values;
    using model = new Model(buildNetwork(values, train.classes), { seed, threads, memory });
    const ratios = await findRatios(values.method, model, train, values, context);
    context.output.line(ratioTable(model, ratios));
    const about = {
      network: model.network.name,
      data: values.data,
      method: values.method,
      sparsity: values.sparsity,
      ...(values.method === 'zo-grasp' && { mu: values.mu }),
      seed: values.seed,
      queried: sum(keptCounts(model.compiled.parameters, ratios)),
      parameters: model.parameterCount,
    };
    if (values.out !== undefined) {
      await writeRatios(values.out, ratios, about);
      context.output.line(`\nwrote ${values.out}`);
    }
    return { ...about, ratios };
  },
});
