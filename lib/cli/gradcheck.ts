import * as v from 'valibot';

import { nameOf } from '../network/coordinates.js';
import { firstBatch } from '../data/dataset.js';
import type { GradcheckEntry } from '../estimators/gradcheck.js';
import { cosineSimilarity, gradcheck as checkGradient } from '../estimators/gradcheck.js';
import type { Model } from '../model/model.js';
import { checkBatchSize } from '../model/problem.js';
import { Random } from '../native/random.js';
import { FileError, inline, InvalidArgumentError } from '../support/errors.js';
import { readJson } from '../support/json.js';
import { expectedOption, integer, parseContent, string } from '../support/schema.js';
import type { Command } from './command.js';
import { command, option } from './command.js';
import {
  computeOptions,
  dataOption,
  loadData,
  normalisationOptions,
  openModel,
  optionalNetworkOptions,
  seedOption,
} from './inputs.js';
import { counted, table } from './output.js';
import { muOption } from './prune.js';

const NOTES =
  'Takes the first test images without augmentation, batch norm in training mode and the cross-entropy. --coordinates is ' +
  'a JSON list of {"name": tensor, "index": flat index in PyTorch\'s order}; without it, coordinates are spread over all ' +
  'tensors. The reference subtracts two losses in double precision, so that it is itself in error by about 1e-16·loss/mu: ' +
  "below a mu of about 1e-8 the differences shown are the reference's as much as the engine's. The first-order gradient, by " +
  'back-propagation in double precision, is what CGE comes to as mu goes to 0; its cosine with CGE is given by layer too.';

export const gradcheck: Command = command({
  name: 'gradcheck',
  summary: 'Compares CGE of the engine with a naive float64 reference, coordinate by coordinate.',
  notes: NOTES,
  options: {
    weights: option(v.optional(string), {
      placeholder: 'FILE',
      help: 'safetensors',
      otherwise: 'initial weights by --seed',
    }),
    batchSize: option(v.optional(integer(1), 16), { help: 'test images' }),
    mu: muOption,
    coordinates: option(v.optional(string), { placeholder: 'FILE', help: 'coordinates to compare' }),
    count: option(v.optional(integer(1)), {
      help: 'number of coordinates, instead of --coordinates',
      otherwise: '32',
    }),
    seed: seedOption,
    ...optionalNetworkOptions('the network in the weights file, or resnet20'),
    data: dataOption,
    ...normalisationOptions,
    ...computeOptions,
  },
  async run(values, { output, signal }) {
    const { batchSize, mu, seed, count, coordinates: file } = values;
    if (file !== undefined && count !== undefined) {
      throw new InvalidArgumentError('Expected --coordinates or --count, received both');
    }
    const { test } = await loadData(values);
    checkBatchSize(batchSize, test, '--batch-size');
    using model = await openModel(values, test.classes, output);
    const coordinates = file === undefined ? spread(model, count ?? 32, seed) : await readCoordinates(file, model);
    output.line(
      `${inline(model.network.name)}, ${counted(batchSize, 'image')} of ${inline(test.name)}, mu ${mu}, ${counted(coordinates.length, 'coordinate')}`,
    );
    const result = await checkGradient(model, firstBatch(test, batchSize), {
      mu,
      coordinates,
      signal,
      onProgress: (done, total) => {
        output.status(`float64 reference  ${done} of ${total} evaluations`);
      },
    });
    const { loss, entries, relativeError, cosine, firstOrderCosine } = result;
    const rows = entries.map(({ name, index, cge, reference, firstOrder }) => [
      nameOf({ name, index }),
      cge.toExponential(6),
      reference.toExponential(6),
      (cge - reference).toExponential(1),
      firstOrder.toExponential(6),
    ]);
    output.line(table([['coordinate', 'cge', 'reference', 'difference', 'first order'], ...rows]));
    const layers = byLayer(entries);
    if (layers.length > 0) {
      const cosines = layers.map((layer) => [layer.name, String(layer.coordinates), layer.firstOrderCosine.toFixed(8)]);
      output.line(table([['layer', 'coordinates', 'cosine with first order'], ...cosines]));
    }
    output.line(
      `loss ${loss.toFixed(6)}  relative error ${relativeError.toExponential(2)}  cosine ${cosine.toFixed(8)}  ` +
        `cosine with first order ${firstOrderCosine.toFixed(8)}`,
    );
    return { ...result, layers };
  },
});

interface LayerCosine {
  name: string;
  coordinates: number;
  firstOrderCosine: number;
}

/** Of the layers with more than one of the coordinates: one number's cosine says no more than its sign. */
function byLayer(entries: readonly GradcheckEntry[]): LayerCosine[] {
  const groups = new Map<string, GradcheckEntry[]>();
  for (const entry of entries) {
    const layer = entry.name.replace(/\.[^.]*$/, '');
    groups.set(layer, [...(groups.get(layer) ?? []), entry]);
  }
  return [...groups]
    .filter(([, group]) => group.length > 1)
    .map(([name, group]) => {
      const [cge, firstOrder] = (['cge', 'firstOrder'] as const).map((key) => Float64Array.from(group, (e) => e[key]));
      return { name, coordinates: group.length, firstOrderCosine: cosineSimilarity(cge!, firstOrder!) };
    });
}

/** `count` coordinates, about as many in every tensor, small tensors first so that large ones make up for them. */
function spread({ compiled, parameterCount }: Model, count: number, seed: number): Uint32Array {
  if (count > parameterCount) throw expectedOption('count', `at most ${parameterCount}, the parameters`, String(count));
  const random = new Random(seed, 'samples');
  const tensors = compiled.parameters.toSorted((a, b) => a.size - b.size);
  let left = count;
  const chosen = tensors.flatMap(({ offset, size }, i) => {
    const share = Math.min(size, Math.round(left / (tensors.length - i)));
    left -= share;
    return Array.from(random.sample(size, share), (index) => offset + index);
  });
  return Uint32Array.from(chosen).sort();
}

const coordinatesFile = v.pipe(
  v.array(v.strictObject({ name: string, index: integer() })),
  v.check((entries) => entries.length > 0, 'a list of at least one {"name", "index"}'),
);

async function readCoordinates(file: string, model: Model): Promise<Uint32Array> {
  const coordinates: number[] = [];
  for (const [i, entry] of parseContent(coordinatesFile, await readJson(file), file).entries()) {
    try {
      const coordinate = model.parameterIndex(entry);
      const first = coordinates.indexOf(coordinate);
      if (first >= 0) throw new InvalidArgumentError(`${nameOf(entry)} is repeated from entry ${first}`);
      coordinates.push(coordinate);
    } catch (cause) {
      throw new FileError(file, `entry ${i}: ${(cause as Error).message}`, { cause });
    }
  }
  return Uint32Array.from(coordinates);
}
