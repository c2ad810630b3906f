/**
 * Grouped bars as SVG.
 *
 * @module
 */

import { label, roundStep } from './svg.js';

export interface Chart {
  title: string;
  /** What the axis shows, with its unit. */
  axis: string;
  /** Powers of ten rather than equal steps; every value is then > 0. */
  logarithmic: boolean;
  /** One bar in every group. */
  series: readonly string[];
  groups: readonly { name: string; values: readonly (number | null)[] }[];
  footnote: string;
}

const COLOURS = ['#9aa5b1', '#4c78a8', '#f58518', '#2a9d5c', '#b279a2', '#e45756', '#72b7b2', '#6b4c2a'];
const BAR = 15;
const GAP = 16;
const LEFT = 170;
const PLOT = 700;
const RIGHT = 100;
const TOP = 92;

/** 1234567 → 1.23M */
function short(value: number): string {
  const [scale, suffix] = value >= 1e9 ? [1e9, 'G'] : value >= 1e6 ? [1e6, 'M'] : value >= 1e4 ? [1e3, 'k'] : [1, ''];
  return `${Number((value / scale).toPrecision(3))}${suffix}`;
}

/** Where the axis has its lines: powers of ten, or about six round numbers from zero. */
function ticksUpTo(chart: Chart, least: number, most: number): number[] {
  if (chart.logarithmic) {
    const [first, last] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))];
    return Array.from({ length: Math.max(last, first + 1) - first + 1 }, (_, i) => 10 ** (first + i));
  }
  const step = roundStep(most / 6);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step);
}

export function svg(chart: Chart): string {
  const { title, axis, logarithmic, series, groups, footnote } = chart;
  const values = groups.flatMap((group) => group.values).filter((value) => value !== null);
  const ticks = ticksUpTo(chart, Math.min(...values), Math.max(...values));
  const place = logarithmic ? Math.log10 : (value: number): number => value;
  const [low, high] = [place(ticks[0]!), place(ticks.at(-1)!)];
  const x = (value: number): number => LEFT + (PLOT * (place(value) - low)) / (high - low);

  const parts: string[] = [];
  let y = TOP;
  for (const { name, values } of groups) {
    const shown = values.flatMap((value, i) =>
      value === null ? [] : [{ value, colour: COLOURS[i % COLOURS.length]! }],
    );
    parts.push(label(LEFT - 10, y + (shown.length * BAR) / 2 + 4, name, 'text-anchor="end"'));
    for (const { value, colour } of shown) {
      const width = Math.max(x(value) - LEFT, 1);
      parts.push(`<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 2}" fill="${colour}"/>`);
      parts.push(label(LEFT + width + 5, y + BAR - 4, short(value), 'font-size="11"'));
      y += BAR;
    }
    y += GAP;
  }
  const bottom = y - GAP / 2;
  const grid = ticks.map((tick) => {
    const at = x(tick).toFixed(1);
    const line = `<line x1="${at}" y1="${TOP - 8}" x2="${at}" y2="${bottom}" stroke="#d5d9de"/>`;
    return line + label(x(tick), bottom + 18, short(tick), 'text-anchor="middle"');
  });
  // Entries as wide as their text, about, in as many columns as fit.
  let entry = LEFT;
  const legend = series.map((name, i) => {
    const at = entry;
    entry += 34 + 7.2 * name.length;
    const square = `<rect x="${at}" y="50" width="12" height="12" fill="${COLOURS[i % COLOURS.length]!}"/>`;
    return square + label(at + 17, 61, name);
  });
  const width = LEFT + PLOT + RIGHT;
  const height = bottom + 78;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="13" fill="#1f2933">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    label(LEFT, 30, title, 'font-size="17" font-weight="bold"'),
    ...legend,
    ...grid,
    ...parts,
    `<line x1="${LEFT}" y1="${TOP - 8}" x2="${LEFT}" y2="${bottom}" stroke="#52606d"/>`,
    label(LEFT + PLOT / 2, bottom + 40, axis, 'text-anchor="middle"'),
    label(LEFT, bottom + 64, footnote, 'font-size="11" fill="#52606d"'),
    '</svg>\n',
  ].join('\n');
}
