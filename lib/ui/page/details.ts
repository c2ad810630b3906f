/**
 * One run in detail: the density and the gradient of each layer, and its mask.
 *
 * @module
 */
import type { MaskData } from '../protocol.js';
import { element, scrolling, setShown, styleOf } from './dom.js';
import { count, NONE, number, percent } from './data/format.js';
import type { Values } from './data/series.js';
import { lastOf, summaryOf } from './data/series.js';
import type { Run } from './data/store.js';

const SPARK = { width: 180, height: 28 } as const;

/** The layers of a run: density, and the norm of the gradient over the steps. */
export class Layers {
  readonly section = element('div', { class: 'layers' });
  #shown: readonly unknown[] = [];

  /** Draws again in the present colours. */
  redraw(): void {
    this.#shown = [];
  }

  update(run: Run | undefined): void {
    const state = [run?.name, run?.gradientNorms, run?.density];
    if (state.every((one, i) => one === this.#shown[i]) && this.#shown.length > 0) return;
    this.#shown = state;
    const norms = run?.gradientNorms?.columns ?? {};
    const densities = run?.density?.columns ?? {};
    const names = [...new Set([...Object.keys(norms), ...Object.keys(densities)])];
    const dropped = Math.max(run?.gradientNorms?.dropped ?? 0, run?.density?.dropped ?? 0);
    setShown(this.section, names.length > 0);
    if (names.length === 0) return;
    const [hasNorms, hasDensity] = [norms, densities].map((columns) => Object.keys(columns).length > 0);
    const heads = [
      'Tensor',
      ...(hasDensity ? ['Density'] : []),
      ...(hasNorms ? ['Gradient norm', 'Over the steps, logarithmic'] : []),
    ];
    const rows = names.map((name) => {
      const norm = norms[name]?.mean ?? [];
      return element(
        'tr',
        {},
        element('th', { scope: 'row' }, name),
        ...(hasDensity ? [densityCell(lastOf(densities[name]?.mean))] : []),
        ...(hasNorms ? [element('td', { class: 'value' }, number(lastOf(norm))), sparkCell(name, norm)] : []),
      );
    });
    const table = element(
      'table',
      {},
      element('caption', { class: 'unseen' }, `Layers of ${run!.name}`),
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          ...heads.map((head) => element('th', { scope: 'col', class: head === 'Gradient norm' && 'value' }, head)),
        ),
      ),
      element('tbody', {}, ...rows),
    );
    const left = dropped > 0 ? [element('p', { class: 'note' }, `${count(dropped)} more tensors are not shown.`)] : [];
    this.section.replaceChildren(scrolling('Layers', table), ...left);
  }
}

function densityCell(density: number | undefined): HTMLElement {
  const bar = element('span', { class: 'bar', 'aria-hidden': 'true' });
  bar.style.setProperty('--part', String(density ?? 0));
  return element('td', { class: 'density' }, density === undefined ? NONE : percent(density), bar);
}

function sparkCell(name: string, values: Values): HTMLElement {
  const label = summaryOf(`${name}, gradient norm`, values, number);
  const canvas = element('canvas', { role: 'img', 'aria-label': label, class: 'spark' });
  drawSpark(canvas, values);
  return element('td', {}, canvas);
}

function drawSpark(canvas: HTMLCanvasElement, values: Values): void {
  const scale = devicePixelRatio;
  [canvas.width, canvas.height] = [SPARK.width * scale, SPARK.height * scale];
  const context = canvas.getContext('2d');
  const logs = values.map((value) => (value !== null && value > 0 ? Math.log(value) : null));
  const known = logs.filter((value) => value !== null);
  if (!context || known.length === 0) return;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  context.scale(scale, scale);
  context.strokeStyle = styleOf('--accent');
  context.lineWidth = 1.5;
  context.lineJoin = 'round';
  context.beginPath();
  logs.forEach((value, i) => {
    if (value === null) return;
    const x = 2 + ((SPARK.width - 4) * i) / Math.max(1, logs.length - 1);
    context.lineTo(x, SPARK.height - 3 - ((SPARK.height - 6) * (value - low)) / (high - low || 1));
  });
  context.stroke();
}

/** The mask of a run as pictures. */
export class Masks {
  readonly #pictures = element('div', { class: 'masks' });
  readonly section = element('div', {}, element('h3', {}, 'Mask: the coordinates that are queried'), this.#pictures);
  #shown = '';

  update(run: Run | undefined): void {
    const mask = run?.mask ?? [];
    setShown(this.section, mask.length > 0);
    const state = `${run?.id} ${run?.maskVersion}`;
    if (state === this.#shown) return;
    this.#shown = state;
    this.#pictures.replaceChildren(...mask.map(pictureOf));
  }

  /** Draws again in the present colours. */
  redraw(): void {
    this.#shown = '';
  }
}

function pictureOf(mask: MaskData): HTMLElement {
  const { name, shape, kept, rows, columns } = mask;
  const all = shape.reduce((product, size) => product * size, 1);
  const says = `${percent(all === 0 ? 0 : kept / all)} of ${count(all)}`;
  const label = `${name}: ${says} coordinates are queried`;
  const canvas = element('canvas', {
    role: 'img',
    'aria-label': label,
    width: Math.max(1, columns),
    height: Math.max(1, rows),
  });
  drawMask(canvas, mask);
  const caption = element('figcaption', {}, element('b', {}, name), ` ${shape.join('×')}, ${says}`);
  const figure = element('figure', { class: 'mask' }, canvas, caption);
  figure.style.setProperty('--columns', String(columns));
  figure.style.setProperty('--rows', String(rows));
  return figure;
}

function drawMask(canvas: HTMLCanvasElement, { rows, columns, cells }: MaskData): void {
  const context = canvas.getContext('2d');
  const bytes = Uint8Array.from(atob(cells), (char) => char.charCodeAt(0));
  if (!context || bytes.length === 0 || bytes.length !== rows * columns) return;
  const picture = context.createImageData(columns, rows);
  const [ground, ink] = ['--mask-none', '--mask-all'].map((name) => rgbOf(styleOf(name)));
  bytes.forEach((byte, i) => {
    // Few of many coordinates must be seen too.
    const part = Math.sqrt(byte / 255);
    for (let c = 0; c < 3; c++) picture.data[4 * i + c] = ground![c]! + part * (ink![c]! - ground![c]!);
    picture.data[4 * i + 3] = 255;
  });
  context.putImageData(picture, 0, 0);
}

/** #rrggbb as three numbers. */
function rgbOf(colour: string): number[] {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}
