/**
 * Draws the figures of the concept pages: `npx tsx scripts/site/figures.ts`.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../run.js';
import { arrow, box, dot, ellipse, figure, text, type Colour } from './figures/draw.js';

/** A quadratic loss ½(x − m)ᵀA(x − m) around (cx, cy), a point, and its gradient there, in pixels. */
function estimators(): string {
  const gradient: readonly [number, number] = [62, -78];
  const panel = (left: number, title: string, note: string, drawn: (x: number, y: number) => string[]): string[] => {
    const [x, y] = [left + 225, 180];
    return [
      text(left + 10, 34, title, { size: 16, bold: true }),
      ...[125, 92, 58, 26].map((size) => ellipse(left + 150, 252, size, 0.62 * size, -32)),
      ...drawn(x, y),
      dot(x, y, 'ink'),
      text(x + 10, y + 20, 'θ', { bold: true }),
      text(left + 10, 376, note, { size: 13 }),
    ];
  };
  const coordinates = (x: number, y: number): string[] => [
    arrow(x, y, x + gradient[0], y, 'a'),
    arrow(x, y, x, y + gradient[1], 'a'),
    arrow(x, y, x + gradient[0], y + gradient[1], 'ink'),
    text(x + 70, y + 5, 'along e₁', { colour: 'a' }),
    text(x - 8, y - 84, 'along e₂', { colour: 'a', anchor: 'end' }),
    text(x + 72, y - 76, 'ĝ', { bold: true }),
  ];
  const angles = [-100, -10, 150].map((degrees) => (degrees * Math.PI) / 180);
  const directions = angles.map((angle): readonly [number, number] => [Math.cos(angle), Math.sin(angle)]);
  const parts = directions.map(([ux, uy]): readonly [number, number] => {
    const slope = ux * gradient[0] + uy * gradient[1];
    return [slope * ux, slope * uy];
  });
  const mean = parts.reduce<readonly [number, number]>(([x, y], [px, py]) => [x + px / 3, y + py / 3], [0, 0]);
  const random = (x: number, y: number): string[] => [
    arrow(x, y, x + gradient[0], y + gradient[1], 'line', true),
    ...parts.map(([px, py]) => arrow(x, y, x + px, y + py, 'b')),
    arrow(x, y, x + 1.6 * mean[0], y + 1.6 * mean[1], 'ink'),
    text(x + 54, y - 84, 'gradient', { colour: 'line', anchor: 'end' }),
    text(x + 22, y + 42, 'along u₁, u₂, u₃', { colour: 'b' }),
    text(x + 1.6 * mean[0] + 8, y + 1.6 * mean[1], 'ĝ', { bold: true }),
  ];
  return figure(760, 396, 'CGE perturbs one coordinate at a time, RGE random directions', [
    ...panel(0, 'CGE', '1 + d queries, exact as μ → 0', coordinates),
    ...panel(380, 'RGE', '1 + q queries, exact only on average', random),
  ]);
}

/** Squares of each tensor, those that a mask keeps filled, in two draws. */
function masks(): string {
  const tensors = [
    { name: 'conv1.weight', count: 24, kept: 12, colour: 'a' },
    { name: 'bn1.weight, bn1.bias', count: 8, kept: 8, colour: 'c' },
    { name: 'conv2.weight', count: 48, kept: 6, colour: 'a' },
    { name: 'fc.weight', count: 24, kept: 4, colour: 'a' },
    { name: 'fc.bias', count: 4, kept: 4, colour: 'c' },
  ] as const;
  const ratios = ['ratio 0.5', 'always queried', 'ratio 0.88', 'ratio 0.83', 'always queried'];
  const draw = (left: number, from: number): string[] =>
    tensors.flatMap(({ count, kept, colour }, row) => {
      const y = 66 + 50 * row;
      // Spread without a pattern, the same in every run of this program.
      const chosen = new Set(
        Array.from({ length: count }, (_, i) => i)
          .sort((i, j) => ((i * 37 + from * 11) % count) - ((j * 37 + from * 11) % count) || i - j)
          .filter((_, i) => (i * 7919 + from * 13) % count < kept),
      );
      const across = Math.ceil(count / 2);
      return Array.from({ length: count }, (_, i) => {
        const [x, line] = [left + 10 * (i % across), y + 10 * Math.floor(i / across)];
        return box(x, line, 7.5, 7.5, kept === count || chosen.has(i) ? colour : 'soft').replace('rx="5"', 'rx="1.5"');
      });
    });
  return figure(760, 330, 'A mask keeps random coordinates of each tensor to its ratio, and is drawn anew', [
    text(210, 40, 'epochs 0 to 4', { size: 16, bold: true }),
    text(490, 40, 'epochs 5 to 9', { size: 16, bold: true }),
    ...tensors.flatMap(({ name, colour }, row) => [
      text(20, 73 + 50 * row, name, { size: 13 }),
      text(20, 89 + 50 * row, ratios[row]!, { size: 12, colour: colour === 'a' ? 'a' : 'c' }),
    ]),
    ...draw(210, 1),
    ...draw(490, 5),
    text(20, 318, 'filled: queried in these epochs; pale: no query, and an entry of 0 in the estimate', { size: 12.5 }),
  ]);
}

/** Which layers a query computes, by what it reuses. */
function reuse(): string {
  const layers = ['conv1', 'block 1', 'block 2', 'block 3', 'loss'];
  const x = (i: number): number => 190 + 112 * i;
  const rows: readonly { name: string; note: string; fills: readonly Colour[]; thin?: boolean }[] = [
    { name: 'none', note: 'a whole pass', fills: ['b', 'b', 'b', 'b', 'b'] },
    { name: 'block', note: 'from its block on', fills: ['soft', 'soft', 'b', 'b', 'b'] },
    { name: 'layer', note: 'from its layer on', fills: ['soft', 'soft', 'b', 'b', 'b'] },
    { name: 'incremental', note: 'changes alone', fills: ['soft', 'soft', 'a', 'a', 'a'], thin: true },
  ];
  return figure(760, 352, 'Feature reuse: the part of the network that a query computes', [
    ...layers.map((name, i) => text(x(i) + 48, 34, name, { anchor: 'middle', size: 13 })),
    ...rows.flatMap(({ name, note, fills, thin = false }, row) => {
      const y = 58 + 66 * row;
      return [
        text(20, y + 18, name, { bold: true }),
        text(20, y + 36, note, { size: 12.5 }),
        ...fills.flatMap((fill, i) => {
          const whole = box(x(i), y, 96, 40, fill === 'soft' ? 'soft' : 'paper', fill === 'soft' ? 'soft' : fill);
          if (fill === 'soft') return [whole];
          // In the perturbed block two convolutions: the first is computed by `block` alone.
          const half =
            i === 2 && name === 'layer' ? [box(x(i) + 48, y, 48, 40, fill), box(x(i), y, 48, 40, 'soft')] : [];
          if (thin) {
            const height = i === 2 ? 8 : 40;
            return [whole, box(x(i) + (i === 2 ? 48 : 0), y + 16 * Number(i === 2), i === 2 ? 48 : 96, height, fill)];
          }
          return half.length > 0 ? half : [box(x(i), y, 96, 40, fill)];
        }),
        ...fills.slice(1).map((_, i) => arrow(x(i) + 97, y + 20, x(i + 1) - 1, y + 20, 'line')),
      ];
    }),
    text(
      20,
      338,
      'The query perturbs a weight of the second convolution of block 2. Pale: stored from the base pass.',
      {
        size: 12.5,
      },
    ),
  ]);
}

/** Who asks and who answers. */
function blackBox(): string {
  const boxes = [
    'a function',
    'worker threads',
    'processes, by lines of JSON',
    'servers, by HTTP',
    'you, by ask and tell',
  ];
  return figure(760, 330, 'An estimator asks queries with ids, anything may answer them in any order', [
    box(20, 110, 150, 96, 'paper', 'a'),
    text(95, 150, 'estimator', { anchor: 'middle', bold: true }),
    text(95, 172, 'CGE, RGE, …', { anchor: 'middle', size: 13 }),
    box(300, 110, 150, 96, 'paper', 'c'),
    text(375, 150, 'queries', { anchor: 'middle', bold: true }),
    text(375, 172, '3.b, 3.c17+, …', { anchor: 'middle', size: 13 }),
    box(300, 252, 150, 54, 'paper', 'line'),
    text(375, 284, 'journal', { anchor: 'middle', bold: true }),
    arrow(375, 206, 375, 251, 'line'),
    arrow(170, 140, 299, 140, 'a'),
    text(235, 130, 'points', { anchor: 'middle', size: 13 }),
    arrow(300, 178, 171, 178, 'a'),
    text(235, 198, 'losses', { anchor: 'middle', size: 13 }),
    ...boxes.flatMap((name, i) => {
      const y = 22 + 58 * i;
      return [
        box(540, y, 200, 42, 'paper', 'b'),
        text(640, y + 26, name, { anchor: 'middle', size: 13 }),
        arrow(450, 158, 539, y + 21, 'line'),
      ];
    }),
    text(20, 60, 'minimize, Search', { size: 16, bold: true }),
  ]);
}

/** How a step is shared. */
function ranks(): string {
  const rows = [0, 1, 2];
  return figure(760, 318, 'Rank 0 runs the program, the others answer a share of its queries', [
    ...rows.flatMap((rank) => {
      const y = 30 + 92 * rank;
      return [
        text(20, y + 30, `rank ${rank}`, { bold: true }),
        text(20, y + 50, rank === 0 ? 'runs the program' : 'serves', { size: 12.5 }),
        box(160, y, 120, 62, 'paper', 'c'),
        text(220, y + 36, 'base pass', { anchor: 'middle', size: 13 }),
        ...[0, 1].flatMap((thread) => [
          box(300, y + 32 * thread, 270, 28, 'paper', 'a'),
          text(435, y + 19 + 32 * thread, `thread ${thread}: its share of the queries`, {
            anchor: 'middle',
            size: 12.5,
          }),
        ]),
      ];
    }),
    box(620, 30, 120, 62, 'paper', 'b'),
    text(680, 58, 'ĝ, step,', { anchor: 'middle', size: 13 }),
    text(680, 76, 'files', { anchor: 'middle', size: 13 }),
    arrow(571, 61, 619, 61, 'line'),
    arrow(571, 153, 655, 94, 'line'),
    arrow(571, 245, 690, 94, 'line'),
    text(300, 306, 'The same bits on any number of ranks and threads.', { size: 12.5 }),
  ]);
}

for (const [name, draw] of Object.entries({ estimators, masks, reuse, 'black-box': blackBox, ranks })) {
  writeFileSync(join(root, `docs/figures/${name}.svg`), draw());
}
