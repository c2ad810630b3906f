/**
 * Points and lines as SVG: measured series filled, published ones hollow and dashed.
 *
 * @module
 */

import { label, roundStep } from '../bench/svg.js';

export interface Series {
  readonly name: string;
  /** Another's figures, beside ours of the same `colour`. */
  readonly published?: boolean;
  /** Index into the palette and the markers: a method keeps its own. */
  readonly colour: number;
  readonly points: readonly Point[];
}

/** A mean of several runs may have the extent of all. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

export interface Axis {
  readonly label: string;
  readonly logarithmic?: boolean;
  /** Where the lines are, instead of round numbers. */
  readonly ticks?: readonly number[];
}

export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

const COLOURS = ['#4c78a8', '#f58518', '#2a9d5c', '#b279a2', '#e45756'];
/** A circle, a square, triangles and a diamond about a point: series are told apart without their colours, and on each other. */
const MARKERS = [
  'm-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0z',
  'm-4 -4h8v8h-8z',
  'm-5 4l5 -9l5 9z',
  'm-5 -4l5 9l5 -9z',
  'm-5.5 0l5.5 -5.5l5.5 5.5l-5.5 5.5z',
];
const PLOT = 580;
/** Without footnotes after the first, each a line more. */
const HEIGHT = 520;
const LINE = 16;
const LEFT = 80;
const TOP = 60;
const BOTTOM = 90;

/** Maps values to pixels between `from` and `to`. */
function scale({ logarithmic = false, ticks }: Axis, values: readonly number[], from: number, to: number) {
  const place = logarithmic ? Math.log10 : (value: number): number => value;
  const shown = ticks ?? (logarithmic ? powers(values) : rounds(values));
  const all = [...values, ...shown].map(place);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const span = high > low ? high - low : 1;
  return { ticks: shown, at: (value: number): number => from + ((to - from) * (place(value) - low)) / span };
}

function powers(values: readonly number[]): number[] {
  if (values.length === 0) return [];
  const [first, last] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
  return Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i));
}

/** About six round numbers around all values. */
function rounds(values: readonly number[]): number[] {
  if (values.length === 0) return [];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const step = roundStep((high - low || Math.abs(high) || 1) / 6);
  const [first, last] = [Math.floor(low / step), Math.ceil(high / step)];
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** 12610 → 12,610 */
const short = (value: number): string =>
  Math.abs(value) >= 1000 ? value.toLocaleString('en-US') : String(Number(value.toPrecision(4)));

export function plotSvg({ title, x: xAxis, y: yAxis, series: given }: Plot, footnotes: readonly string[]): string {
  const series = given.filter(({ points }) => points.length > 0);
  const points = series.flatMap((one) => one.points);
  const right = LEFT + PLOT;
  // The legend is as wide as its longest name, about.
  const width = right + 70 + 7.4 * Math.max(0, ...series.map(({ name }) => name.length));
  const x = scale(xAxis, points.map((point) => point.x), LEFT + 25, right - 25); // prettier-ignore
  const y = scale(yAxis, points.flatMap((point) => [point.y, point.low ?? point.y, point.high ?? point.y]), HEIGHT - BOTTOM, TOP); // prettier-ignore
  const grid = [
    ...y.ticks.map((tick) => {
      const at = y.at(tick);
      const line = `<line x1="${LEFT}" x2="${right}" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}" stroke="#d5d9de"/>`;
      return line + label(LEFT - 8, at + 4, short(tick), 'text-anchor="end"');
    }),
    ...x.ticks.map((tick) => {
      const at = x.at(tick).toFixed(1);
      const line = `<line x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}" stroke="#eceff2"/>`;
      return line + label(x.at(tick), HEIGHT - BOTTOM + 20, short(tick), 'text-anchor="middle"');
    }),
  ];
  const drawn = series.flatMap(({ colour, published = false, points: own, name }, i) => {
    const ink = COLOURS[colour % COLOURS.length]!;
    const fill = published ? '#ffffff' : ink;
    const places = own.map((point) => ({ ...point, px: x.at(point.x), py: y.at(point.y) }));
    const path = places.map(({ px, py }) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
    const dash = published ? ' stroke-dasharray="5 4"' : '';
    const dot = (px: number, py: number): string =>
      `<path d="M${px.toFixed(1)} ${py.toFixed(1)} ${MARKERS[colour % MARKERS.length]!}" fill="${fill}" stroke="${ink}" stroke-width="1.6"/>`;
    const extents = places.flatMap(({ px, low, high }) =>
      low === undefined || high === undefined || low === high
        ? []
        : [
            `<line x1="${px.toFixed(1)}" x2="${px.toFixed(1)}" y1="${y.at(low).toFixed(1)}" y2="${y.at(high).toFixed(1)}" stroke="${ink}"/>`,
          ],
    );
    const entry = TOP + 12 + 22 * i;
    const sample = right + 30;
    return [
      `<polyline points="${path}" fill="none" stroke="${ink}" stroke-width="1.8"${dash}/>`,
      ...extents,
      ...places.map(({ px, py }) => dot(px, py)),
      `<line x1="${sample - 14}" x2="${sample + 14}" y1="${entry}" y2="${entry}" stroke="${ink}" stroke-width="1.8"${dash}/>`,
      dot(sample, entry),
      label(sample + 22, entry + 4, name),
    ];
  });
  const middle = (TOP + HEIGHT - BOTTOM) / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width.toFixed(0)}" height="${HEIGHT + LINE * (footnotes.length - 1)}" font-family="sans-serif" font-size="13" fill="#1f2933">`,
    '<rect width="100%" height="100%" fill="#ffffff"/>',
    label(LEFT, 32, title, 'font-size="17" font-weight="bold"'),
    ...grid,
    ...drawn,
    label((LEFT + right) / 2, HEIGHT - BOTTOM + 44, xAxis.label, 'text-anchor="middle"'),
    label(22, middle, yAxis.label, `text-anchor="middle" transform="rotate(-90 22 ${middle})"`),
    ...footnotes.map((note, i) => label(LEFT, HEIGHT - 14 + LINE * i, note, 'font-size="11" fill="#52606d"')),
    '</svg>\n',
  ].join('\n');
}
