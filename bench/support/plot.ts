/**
 * Points as SVG, joined by lines or not: measured series filled, published ones hollow and dashed.
 *
 * @module
 */

export interface Series {
  readonly name: string;
  /** Figures from elsewhere, beside the measured ones of the same `colour`. */
  readonly published?: boolean;
  /** Index into the palette and the markers: a method keeps its own. */
  readonly colour: number;
  readonly points: readonly Point[];
}

/** A mean over several runs may show their range. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

export interface Axis {
  readonly label: string;
  readonly logarithmic?: boolean;
  /** Values with a grid line, instead of round numbers. */
  readonly ticks?: readonly number[];
}

/** An axis of categories: values around i belong to the i-th name, counted from the top. */
export interface Categories {
  readonly names: readonly string[];
}

export interface Plot {
  readonly title: string;
  readonly x: Axis;
  /** Along categories, points are not joined. */
  readonly y: Axis | Categories;
  readonly series: readonly Series[];
}

const COLOURS = ['#4c78a8', '#f58518', '#2a9d5c', '#b279a2', '#e45756', '#72b7b2', '#6b4c2a', '#9aa5b1'];
/** A circle, a square, triangles and a diamond about a point: overlapping series differ without their colours. */
const MARKERS = [
  'm-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z',
  'm-4 -4h8v8h-8z',
  'm-5 4l5 -9l5 9z',
  'm-5 -4l5 9l5 -9z',
  'm-5.5 0l5.5 -5.5l5.5 5.5l-5.5 5.5z',
];
const PLOT = 580;
const TOP = 60;
/** From the top to the lower end of an axis of numbers. */
const LOWER = 430;
/** Between categories. */
const ROW = 46;
const BELOW = 90;
const LINE = 16;
/** Of a letter, about. */
const LETTER = 7.4;

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

function label(x: number, y: number, content: string, style = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${style}>${escape(content)}</text>`;
}

/** 12610 → 12,610 */
const short = (value: number): string =>
  Math.abs(value) >= 1000 ? value.toLocaleString('en-US') : String(Number(value.toPrecision(4)));

interface Scale {
  readonly ticks: readonly { readonly at: number; readonly name: string }[];
  at(value: number): number;
}

/** Maps values to pixels between `from` and `to`. */
function scale({ logarithmic = false, ticks }: Axis, values: readonly number[], from: number, to: number): Scale {
  const place = logarithmic ? Math.log10 : (value: number): number => value;
  const shown = ticks ?? (logarithmic ? powers(values) : rounds(values));
  const all = [...values, ...shown].map(place);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const span = high > low ? high - low : 1;
  const at = (value: number): number => from + ((to - from) * (place(value) - low)) / span;
  return { at, ticks: shown.map((tick) => ({ at: at(tick), name: short(tick) })) };
}

function rows({ names }: Categories): Scale {
  const at = (value: number): number => TOP + ROW * (value + 0.5);
  return { at, ticks: names.map((name, i) => ({ at: at(i), name })) };
}

function powers(values: readonly number[]): number[] {
  if (values.length === 0) return [];
  const [first, last] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

/** About six round numbers around all values: multiples of 1, 2 or 5 times a power of ten. */
function rounds(values: readonly number[]): number[] {
  if (values.length === 0) return [];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const rough = (high - low || Math.abs(high) || 1) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough)!;
  const [first, last] = [Math.floor(low / step), Math.ceil(high / step)];
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

export function plotSvg({ title, x: xAxis, y: yAxis, series: given }: Plot, footnotes: readonly string[]): string {
  const series = given.filter(({ points }) => points.length > 0);
  const points = series.flatMap((one) => one.points);
  const categories = 'names' in yAxis ? yAxis.names : [];
  const left = Math.max(80, 20 + LETTER * Math.max(0, ...categories.map((name) => name.length)));
  const right = left + PLOT;
  const bottom = 'names' in yAxis ? TOP + ROW * categories.length : LOWER;
  const x = scale(xAxis, points.map((point) => point.x), left + 25, right - 25); // prettier-ignore
  const extent = points.flatMap(({ y, low, high }) => [y, low ?? y, high ?? y]);
  const y = 'names' in yAxis ? rows(yAxis) : scale(yAxis, extent, bottom, TOP);
  const grid = [
    ...y.ticks.map(({ at, name }) => {
      const line = `<line x1="${left}" x2="${right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" stroke="#d5d9de"/>`;
      return line + label(left - 8, at + 4, name, 'text-anchor="end"');
    }),
    ...x.ticks.map(({ at, name }) => {
      const line = `<line x1="${at.toFixed(1)}" x2="${at.toFixed(1)}" y1="${TOP}" y2="${bottom}" stroke="#eceff2"/>`;
      return line + label(at, bottom + 20, name, 'text-anchor="middle"');
    }),
  ];
  const drawn = series.flatMap(({ colour, published = false, points: own, name }, i) => {
    const ink = COLOURS[colour % COLOURS.length]!;
    const fill = published ? '#ffffff' : ink;
    const dash = published ? ' stroke-dasharray="5 4"' : '';
    const places = own.map((point) => ({ ...point, px: x.at(point.x), py: y.at(point.y) }));
    const path = places.map(({ px, py }) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
    const line = `<polyline points="${path}" fill="none" stroke="${ink}" stroke-width="1.8"${dash}/>`;
    const marker = (px: number, py: number): string =>
      `<path d="M${px.toFixed(1)} ${py.toFixed(1)} ${MARKERS[colour % MARKERS.length]!}" fill="${fill}" stroke="${ink}" stroke-width="1.6"/>`;
    const ranges = places.flatMap(({ px, low, high }) => {
      if (low === undefined || high === undefined || low === high) return [];
      const [at, from, to] = [px, y.at(low), y.at(high)].map((pixels) => pixels.toFixed(1));
      return [`<line x1="${at!}" x2="${at!}" y1="${from!}" y2="${to!}" stroke="${ink}"/>`];
    });
    const entry = TOP + 12 + 22 * i;
    const sample = right + 30;
    return [
      ...('names' in yAxis ? [] : [line]),
      ...ranges,
      ...places.map(({ px, py }) => marker(px, py)),
      `<line x1="${sample - 14}" x2="${sample + 14}" y1="${entry}" y2="${entry}" stroke="${ink}" stroke-width="1.8"${dash}/>`,
      marker(sample, entry),
      label(sample + 22, entry + 4, name),
    ];
  });
  const width = right + 70 + LETTER * Math.max(0, ...series.map(({ name }) => name.length));
  const height = Math.max(bottom, TOP + 22 * series.length) + BELOW;
  const middle = (TOP + bottom) / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width.toFixed(0)}" height="${height + LINE * (footnotes.length - 1)}" font-family="sans-serif" font-size="13" fill="#1f2933">`,
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    label(left, 32, title, 'font-size="17" font-weight="bold"'),
    ...grid,
    ...drawn,
    label((left + right) / 2, bottom + 44, xAxis.label, 'text-anchor="middle"'),
    ...('names' in yAxis ? [] : [label(22, middle, yAxis.label, `text-anchor="middle" transform="rotate(-90 22 ${middle})"`)]), // prettier-ignore
    ...footnotes.map((note, i) => label(left, height - 14 + LINE * i, note, 'font-size="11" fill="#52606d"')),
    '</svg>\n',
  ].join('\n');
}
