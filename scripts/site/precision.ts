/**
 * Measures how far differences are from the gradient, by μ: `npx tsx scripts/site/precision.ts` prints a table and draws
 * docs/figures/precision.svg.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeMachine, Model, resnet20, synthetic } from 'deepzero';
import { plotSvg } from '../../bench/support/plot.js';
import { root, script } from '../run.js';
import { themed } from './figures/theme.js';

const IMAGES = 64;
const COORDINATES = 200;
const STEPS = Array.from({ length: 17 }, (_, i) => 10 ** (-8 + i / 2));

const METHODS = [
  { name: 'changes, one-sided', reuse: 'incremental', central: false, colour: 0 },
  { name: 'changes, central', reuse: 'incremental', central: true, colour: 2 },
  { name: 'two float32 passes, one-sided', reuse: 'none', central: false, colour: 1 },
  { name: 'two float32 passes, central', reuse: 'none', central: true, colour: 4 },
] as const;

await script(async () => {
  using model = new Model(resnet20({ classes: 10 }), { seed: 1 });
  const batch = synthetic().train.batch(Uint32Array.from({ length: IMAGES }, (_, i) => i));
  const count = model.parameters.length;
  const coordinates = Uint32Array.from({ length: COORDINATES }, (_, i) =>
    Math.floor(((i + 0.5) * count) / COORDINATES),
  );
  const { values: gradient } = await model.gradient(batch, { precision: 'double' });
  const truth = Array.from(coordinates, (at) => gradient[at]!);
  const series = [];
  for (const { name, reuse, central, colour } of METHODS) {
    const points = [];
    // A float32 weight does not move by less.
    for (const mu of STEPS.filter((step) => reuse === 'incremental' || step > 1e-7)) {
      const { values } = await model.coordinatewise(batch, { mu, central, reuse, coordinates });
      const error = Math.hypot(...truth.map((exact, i) => values[i]! - exact)) / Math.hypot(...truth);
      points.push({ x: mu, y: error });
      console.log(`${name}  mu ${mu.toExponential(1)}  error ${error.toExponential(1)}`);
    }
    series.push({ name, colour, points });
  }
  const plot = {
    title: 'How far CGE is from the gradient',
    x: { label: 'μ', logarithmic: true, ticks: [1e-8, 1e-6, 1e-4, 1e-2, 1] },
    y: { label: 'relative error', logarithmic: true, ticks: [1e-6, 1e-4, 1e-2, 1, 100] },
    series,
  };
  const note = `ResNet-20, initial weights, ${IMAGES} generated images, ${COORDINATES} coordinates. ${describeMachine(model)}.`;
  writeFileSync(join(root, 'docs/figures/precision.svg'), themed(plotSvg(plot, [note])));
});
