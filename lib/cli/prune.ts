import { checkDestination } from '../files.js';
import { keptCounts } from '../masks.js';
import { Model } from '../model.js';
import type { Command } from './command.js';
import { command } from './command.js';
import { buildNetwork, computeOptions, dataOption, loadData, networkOptions, seedOption } from './inputs.js';
import { text } from './options.js';
import { checkSamples, findRatios, graspOptions, muOption, ratioTable, sparsityOption, writeRatios } from './ratios.js';

export const prune: Command = command({
  name: 'prune',
  summary: 'Finds layer-wise pruning ratios by ZO-GraSP: how much of each layer sparse-CGE may leave out.',
  options: {
    ...networkOptions,
    data: dataOption,
    sparsity: sparsityOption(),
    mu: muOption,
    ...graspOptions(),
    seed: seedOption,
    ...computeOptions,
    out: text('FILE', { help: 'writes the ratios as JSON, for train --ratios FILE' }),
  },
  async run(values, context) {
    const { train } = await loadData(values);
    checkSamples(values, train);
    if (values.out !== undefined) await checkDestination(values.out);
    const { seed, threads, memory } = values;
    using model = new Model(buildNetwork(values, train.classes), { seed, threads, memory });
    const layers = await findRatios(model, train, values, context);
    context.output.line(ratioTable(model, layers));
    const about = {
      network: model.network.name,
      data: values.data,
      sparsity: values.sparsity,
      mu: values.mu,
      seed: values.seed,
      queried: keptCounts(model.compiled.parameters, layers).reduce((sum, count) => sum + count, 0),
      parameters: model.parameterCount,
    };
    if (values.out !== undefined) {
      await writeRatios(values.out, layers, about);
      context.output.line(`\nwrote ${values.out}`);
    }
    return { ...about, layers };
  },
});
