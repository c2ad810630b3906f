/**
 * One run in detail: the density and the gradient of each layer, and its mask.
 *
 * @module
 */
import type { MaskPicture } from '../../runs/types.js';
import { element, scrolling, setShown, setText, styleOf } from './dom.js';
import { count, measured, NONE, percent } from './data/format.js';
import type { Values } from './data/series.js';
import { lastOf, summaryOf } from './data/series.js';
import type { Run } from './data/store.js';

const SPARK = { width: 180, height: 28 } as const;

/** A layer's cells. */
interface LayerRow {
  readonly row: HTMLElement;
  readonly density: HTMLElement;
  readonly bar: HTMLElement;
  readonly norm: HTMLElement;
  readonly spark: HTMLCanvasElement;
}

/** The layers of a run: density, and the norm of the gradient over the steps. */
export class Layers {
  readonly section = element('div', { class: 'layers' });
  readonly #caption = element('caption', { class: 'unseen' });
  readonly #head = element('thead');
  readonly #body = element('tbody');
  readonly #left = element('p', { class: 'note' });
  #rows = new Map<string, LayerRow>();
  /** Which rows and columns there are. */
  #shape = '';
  #shown: readonly unknown[] = [];

  constructor() {
    const table = element('table', {}, this.#caption, this.#head, this.#body);
    this.section.append(scrolling('Layers', table), this.#left);
  }

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
    this.#arrange(names, hasDensity!, hasNorms!);
    setText(this.#caption, `Layers of ${run!.name}`);
    for (const [name, { density, bar, norm, spark }] of this.#rows) {
      const part = lastOf(densities[name]?.mean);
      setText(density, part === undefined ? NONE : percent(part));
      bar.style.setProperty('--part', String(part ?? 0));
      const { mean = [], min, max = mean } = norms[name] ?? {};
      setText(norm, measured(lastOf(mean)));
      spark.setAttribute('aria-label', summaryOf(`${name}, gradient norm`, mean, measured, [min, max]));
      drawSpark(spark, max);
    }
    setText(this.#left, `${count(dropped)} more tensors are not shown.`);
    setShown(this.#left, dropped > 0);
  }

  /** Makes the rows and columns, unless they are there: what is focused, scrolled or selected in them stays. */
  #arrange(names: readonly string[], hasDensity: boolean, hasNorms: boolean): void {
    const shape = JSON.stringify([names, hasDensity, hasNorms]);
    if (shape === this.#shape) return;
    this.#shape = shape;
    const heads = [
      element('th', { scope: 'col' }, 'Tensor'),
      ...(hasDensity ? [element('th', { scope: 'col' }, 'Density')] : []),
      ...(hasNorms ? [element('th', { scope: 'col', class: 'value' }, 'Gradient norm')] : []),
      ...(hasNorms ? [element('th', { scope: 'col' }, 'Over the steps, logarithmic')] : []),
    ];
    this.#head.replaceChildren(element('tr', {}, ...heads));
    this.#rows = new Map(names.map((name) => [name, layerRow(name, hasDensity, hasNorms)]));
    this.#body.replaceChildren(...[...this.#rows.values()].map(({ row }) => row));
  }
}

function layerRow(name: string, hasDensity: boolean, hasNorms: boolean): LayerRow {
  const density = element('span');
  const bar = element('span', { class: 'bar', 'aria-hidden': 'true' });
  const norm = element('td', { class: 'value' });
  const spark = element('canvas', { role: 'img', class: 'spark' });
  const row = element(
    'tr',
    {},
    element('th', { scope: 'row' }, ...breakable(name)),
    ...(hasDensity ? [element('td', { class: 'density' }, density, bar)] : []),
    ...(hasNorms ? [norm, element('td', {}, spark)] : []),
  );
  return { row, density, bar, norm, spark };
}

/** A name that a line may end within, behind its dots. */
function breakable(name: string): (Node | string)[] {
  return name.split(/(?<=\.)/).flatMap((part, i) => (i === 0 ? [part] : [element('wbr'), part]));
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

function pictureOf(mask: MaskPicture): HTMLElement {
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

function drawMask(canvas: HTMLCanvasElement, { rows, columns, cells }: MaskPicture): void {
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
