/**
 * A plot of one metric of several runs: lines, a readout at the cursor, and a table of values.
 *
 * @module
 */
import uPlot from 'uplot';

import { element, fillTable, scrolling, setShown, styleOf, tableOf } from './dom.js';
import { NONE } from './data/format.js';
import type { Metric } from './data/metrics.js';
import { AXES } from './data/metrics.js';
import type { Axis, Values } from './data/series.js';
import { lastOf, positions, positive, sampled, smoothed, summaryOf } from './data/series.js';
import type { Run } from './data/store.js';
import { COLOURS, isPrinting } from './theme.js';

const HEIGHT = 220;
/** Half of a sheet, in CSS pixels. */
const PRINTED_WIDTH = 310;
/** Rows in the table of values. */
const MOST_ROWS = 16;

// eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- the enum has no values at run time
const LOGARITHMIC: uPlot.Scale = { distr: 3 };

export interface PlotSettings {
  readonly axis: Axis;
  readonly smoothing: number;
  readonly isLogarithmic: boolean;
  /** The first and the last position of all runs on the axis, so that all plots have the same. */
  readonly extent: readonly [number, number];
}

/** A run's line. */
interface Line {
  readonly run: Run;
  readonly x: number[];
  readonly raw: (number | null)[];
  readonly smooth: (number | null)[];
  readonly min: (number | null)[] | undefined;
  readonly max: (number | null)[] | undefined;
}

export class Plot {
  readonly figure: HTMLElement;
  readonly #metric: Metric;
  readonly #frame: HTMLElement;
  readonly #readout: HTMLElement;
  readonly #details: HTMLDetailsElement;
  /** The table of values while it is open. */
  #values: HTMLTableElement | undefined;
  #plot: uPlot | undefined;
  #lines: readonly Line[] = [];
  #axis: Axis = 'step';
  /** What the lines look like; another look needs another uPlot. */
  #look = '';

  constructor(metric: Metric) {
    this.#metric = metric;
    const unit = metric.unit === '' ? [] : [element('span', { class: 'unit' }, metric.unit)];
    // The arrow keys are for the plot, not for a screen reader's own place on the page.
    const attributes = { role: 'application', 'aria-roledescription': 'plot', tabindex: 0 };
    this.#frame = element('div', { class: 'frame', ...attributes });
    this.#readout = element('output', { class: 'readout', 'aria-live': 'off' });
    this.#details = element('details', {}, element('summary', {}, 'Values'));
    const caption = element('figcaption', {}, element('h3', {}, metric.title), ...unit);
    this.figure = element('figure', { class: 'plot' }, caption, this.#readout, this.#frame, this.#details);
    this.#details.addEventListener('toggle', () => {
      this.#fillTable();
    });
    this.#frame.addEventListener('keydown', (event) => {
      this.#moveCursor(event);
    });
    this.#frame.addEventListener('blur', () => {
      this.#isReadAloud = false;
    });
    new ResizeObserver(() => {
      if (!isPrinting()) this.#plot?.setSize({ width: this.#frame.clientWidth, height: HEIGHT });
    }).observe(this.#frame);
  }

  /** Draws what the runs have now. */
  update(runs: readonly Run[], settings: PlotSettings): void {
    const { column, isMain, isQuietAtZero = false } = this.#metric;
    const withValues = runs.filter(({ series }) => {
      const mean = series?.columns[column]?.mean.filter((value) => value !== null) ?? [];
      return mean.length > 0 && !(isQuietAtZero && mean.every((value) => value === 0));
    });
    setShown(this.figure, withValues.length > 0 || (isMain && runs.length > 0));
    if (this.figure.hidden) return;
    this.#axis = settings.axis;
    this.#lines = withValues.map((run) => lineOf(run, this.#metric, settings));
    this.#draw(settings);
    this.#frame.setAttribute('aria-label', this.#summary());
    if (this.#details.open) this.#fillTable();
    this.#isReadAloud = false;
    const { idx } = this.#plot?.cursor ?? {};
    this.#showReadout(idx == null ? undefined : this.#plot?.data[0][idx]);
  }

  /** Whether changes of the readout are read aloud: those by the user's keys, not those by the run's steps. */
  set #isReadAloud(isReadAloud: boolean) {
    this.#readout.setAttribute('aria-live', isReadAloud ? 'polite' : 'off');
  }

  /** Draws again in the present colours and size. */
  redraw(): void {
    this.#look = '';
  }

  #draw({ smoothing, isLogarithmic, extent }: PlotSettings): void {
    const isSmooth = this.#metric.isNoisy && smoothing > 0;
    const isLog = this.#metric.mayBeLogarithmic && isLogarithmic;
    const width = isPrinting() ? PRINTED_WIDTH : this.#frame.clientWidth;
    const lines = this.#lines.map(({ run, min, raw }) => [run.id, min !== undefined, raw.length < 2].join());
    const look = [isSmooth, isLog, this.#axis, ...lines].join(' ');
    const tables = this.#lines.map(({ x, raw, smooth, min, max }) => {
      const data: uPlot.AlignedData = [x, smooth, ...(isSmooth ? [raw] : []), ...(min && max ? [max, min] : [])];
      return data;
    });
    const ends: uPlot.AlignedData = [[...extent], [null, null]];
    const data: uPlot.AlignedData = tables.length === 0 ? [[]] : uPlot.join([ends, ...tables]);
    if (this.#plot && look === this.#look) {
      const { min, max } = this.#plot.scales['x'] ?? {};
      const all = this.#plot.data[0];
      const isZoomed = min != null && max != null && (min > (all[0] ?? min) || max < (all.at(-1) ?? max));
      this.#plot.setData(data, !isZoomed);
      if (isZoomed) this.#plot.redraw();
      return;
    }
    this.#look = look;
    this.#plot?.destroy();
    this.#frame.replaceChildren();
    if (data[0].length === 0 || width === 0) {
      this.#plot = undefined;
      if (width === 0) this.#look = '';
      this.#frame.append(element('p', { class: 'empty' }, 'No values yet.'));
      return;
    }
    this.#plot = new uPlot(this.#options(width, isSmooth, isLog), data, this.#frame);
  }

  #options(width: number, isSmooth: boolean, isLog: boolean): uPlot.Options {
    // The second is that of the ends, which has no values.
    const series: uPlot.Series[] = [{}, {}];
    const bands: uPlot.Band[] = [];
    for (const { run, min, raw } of this.#lines) {
      const colour = colourOf(run);
      const line = { stroke: colour, spanGaps: true, points: { show: raw.length < 2 }, dash: dashOf(run) };
      series.push({ ...line, width: 2 });
      if (isSmooth) series.push({ ...line, stroke: `${colour}47`, width: 1 });
      if (!min) continue;
      const edge = { stroke: 'transparent', width: 0, spanGaps: true, points: { show: false } };
      bands.push({ series: [series.length, series.length + 1], fill: `${colour}1f` });
      series.push(edge, edge);
    }
    const text = styleOf('--quiet');
    const grid = { stroke: styleOf('--grid'), width: 1 };
    const axis = { stroke: text, font: '12px system-ui, sans-serif', grid, ticks: { show: false } };
    const { tick, distances } = AXES[this.#axis];
    return {
      ...{ width, height: HEIGHT, series, bands, padding: [8, 24, 0, 0] },
      scales: { x: { time: false }, y: isLog ? LOGARITHMIC : {} },
      axes: [
        {
          ...{ ...axis, space: 70, size: 30, ...(distances && { incrs: distances }) },
          values: (_, splits) => splits.map((split: number | null) => (split === null ? '' : tick(split))),
        },
        { ...axis, size: 62, values: (_, splits) => splits.map((split) => this.#tick(split)) },
      ],
      legend: { show: false },
      cursor: { sync: { key: 'steps', scales: ['x', null] }, points: { size: 7 }, drag: { x: true, y: false } },
      hooks: {
        setCursor: [
          ({ cursor, data }) => {
            this.#showReadout(cursor.idx == null ? undefined : data[0][cursor.idx]);
          },
        ],
      },
    };
  }

  /** uPlot asks for ticks of a logarithmic scale that it does not show. */
  #tick(value: number | null): string {
    return value === null ? '' : (this.#metric.tick ?? this.#metric.format)(value);
  }

  /** The arrows move the cursor, Home and End put it at the ends, Escape takes it away. */
  #moveCursor(event: KeyboardEvent): void {
    const plot = this.#plot;
    if (!plot) return;
    const [xs] = plot.data;
    const last = xs.length - 1;
    const now = plot.cursor.idx ?? last;
    const step = Math.max(1, Math.round(xs.length / 100));
    const places: Partial<Record<string, number>> = {
      ...{ ArrowLeft: Math.max(0, now - step), ArrowRight: Math.min(last, now + step), Home: 0, End: last },
    };
    const place = places[event.key];
    if (place === undefined && event.key !== 'Escape') return;
    event.preventDefault();
    this.#isReadAloud = true;
    const left = place === undefined ? -10 : plot.valToPos(xs[place]!, 'x');
    plot.setCursor({ left, top: place === undefined ? -10 : 10 });
  }

  /** The values at a place on the axis, or the last ones. */
  #showReadout(x: number | undefined): void {
    const { name, format } = AXES[this.#axis];
    const values = this.#lines.map(({ run, smooth, x: xs }) => {
      const at = x === undefined ? undefined : nearestValue(xs, smooth, x);
      const value = x === undefined ? lastOf(smooth) : at;
      const mark = element('span', { class: 'mark', 'aria-hidden': 'true' });
      mark.style.background = colourOf(run);
      const who = this.#lines.length > 1 ? [element('span', { class: 'unseen' }, `${run.name}: `)] : [];
      const text = value === undefined ? NONE : this.#metric.format(value);
      return element('span', { class: 'value', title: run.name }, mark, ...who, text);
    });
    const where = x === undefined ? 'last' : `${name} ${format(x)}`;
    const row = [element('span', { class: 'where' }, where), ...values];
    const text = row.map(({ textContent }) => textContent).join(' ');
    if (text === this.#readout.textContent) return;
    this.#readout.replaceChildren(...row.flatMap((one, i) => (i === 0 ? [one] : [' ', one])));
  }

  #summary(): string {
    const { title, unit, format } = this.#metric;
    const lines = this.#lines.map(({ run, raw, min, max }) => summaryOf(run.name, raw, format, [min, max]));
    return `${title}${unit === '' ? '' : `, ${unit}`}. ${lines.join('. ')}. The arrow keys move the cursor.`;
  }

  #fillTable(): void {
    const summary = this.#details.firstElementChild!;
    if (!this.#details.open) {
      this.#details.replaceChildren(summary);
      this.#values = undefined;
      return;
    }
    const { title, format } = this.#metric;
    const axis = AXES[this.#axis];
    const places = this.#lines.flatMap(({ x, raw }) => x.filter((_, i) => raw[i] !== null)).sort((a, b) => a - b);
    const distinct = [...new Set(places)];
    const rows = sampled(distinct.length, MOST_ROWS).map((i) => {
      const x = distinct[i]!;
      const values = this.#lines.map(({ x: xs, raw }) => nearestValue(xs, raw, x));
      return [axis.format(x), ...values.map((value) => (value === undefined ? NONE : format(value)))];
    });
    const head = [axis.title, ...this.#lines.map(({ run }) => run.name)];
    if (this.#values) {
      fillTable(this.#values, [head, ...rows]);
      return;
    }
    this.#values = tableOf(`${title} of each run`, [head, ...rows]);
    this.#details.replaceChildren(summary, scrolling(`Values of ${title}`, this.#values));
  }
}

function lineOf(run: Run, metric: Metric, settings: PlotSettings): Line {
  const table = run.series!;
  const rows = table.columns[metric.column]!;
  const isLog = metric.mayBeLogarithmic && settings.isLogarithmic;
  const seen = (values: Values): Values => (isLog ? positive(values) : values);
  const xs = positions(table, settings.axis);
  const kept = xs.flatMap((x, i) => (x !== null && rows.mean[i] != null ? [i] : []));
  const pick = (values: Values): (number | null)[] => kept.map((i) => values[i] ?? null);
  const raw = pick(seen(rows.mean));
  const isThinned = table.width > 1 && rows.min !== undefined && rows.max !== undefined;
  return {
    ...{ run, raw, x: kept.map((i) => xs[i]!) },
    smooth: [...(metric.isNoisy ? smoothed(raw, settings.smoothing, table.width) : raw)],
    min: isThinned ? pick(seen(rows.min)) : undefined,
    max: isThinned ? pick(seen(rows.max)) : undefined,
  };
}

/** The value at the place nearest to `x`, unless the line has ended or not begun there. */
function nearestValue(xs: readonly number[], values: Values, x: number): number | undefined {
  if (xs.length === 0 || x < xs[0]! || x > xs.at(-1)!) return undefined;
  let [low, high] = [0, xs.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle]! <= x) low = middle;
    else high = middle;
  }
  return values[Math.abs(xs[high]! - x) < Math.abs(xs[low]! - x) ? high : low] ?? undefined;
}

/** The first and the last position of runs on an axis. */
export function extentOf(runs: readonly Run[], axis: Axis): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  for (const { series } of runs) {
    const known = series ? positions(series, axis).filter((x) => x !== null) : [];
    if (known.length > 0) [low, high] = [Math.min(low, known[0]!), Math.max(high, known.at(-1)!)];
  }
  return low < high ? [low, high] : [0, 1];
}

/** The colour of a run's lines, as #rrggbb. */
export function colourOf({ id }: Run): string {
  return styleOf(`--run-${id % COLOURS}`);
}

/** Runs that share a colour differ in their dashes. */
function dashOf({ id }: Run): number[] {
  const round = Math.floor(id / COLOURS) % 3;
  return [[], [6, 4], [2, 3]][round]!;
}
