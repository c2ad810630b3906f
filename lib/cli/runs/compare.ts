/**
 * Runs side by side.
 *
 * @module
 */
import { isObject } from '../../support/schema.js';
import type { Output } from '../output.js';
import { grouped, table } from '../output.js';
import { lossText, RESULTS } from './columns.js';
import type { RunSummary } from './summary.js';
import { lossAfter, withoutSettings } from './summary.js';

/** Settings that a comparison prints; `--json` has all. */
const MOST_SETTINGS = 40;

/** Prints what differs between runs, and their results. */
export async function compare(runs: readonly RunSummary[], output: Output): Promise<object> {
  const settings = differing(runs.map((run) => flattened(run.settings)));
  const names = runs.map(({ name }) => name);
  const shown = [...settings].slice(0, MOST_SETTINGS).map(([path, values]) => [path, ...values.map(valueText)]);
  if (shown.length === 0) output.line('The settings are the same.\n');
  else output.line(`${table([['setting', ...names], ...shown])}\n`);
  if (settings.size > shown.length) {
    output.line(`And ${grouped(settings.size - shown.length)} more settings, which --json lists.\n`);
  }
  const common = Math.min(...runs.map(({ steps }) => steps));
  const losses = await Promise.all(runs.map(async ({ path }) => (common > 0 ? lossAfter(path, common) : null)));
  const results = Object.entries(RESULTS)
    .filter(([name]) => name !== 'run')
    .map(([name, of]) => [name, ...runs.map(of)]);
  const equal = [`loss after ${grouped(common)} steps`, ...losses.map(lossText)];
  output.line(table([['result', ...names], ...results, ...(common > 0 ? [equal] : [])]));
  const problems = runs.flatMap((run) => run.problems);
  if (problems.length > 0) output.line(`\n${problems.join('\n')}`);
  return {
    settings: Object.fromEntries(settings),
    runs: runs.map((run, i) => ({ ...withoutSettings(run), lossAfter: { steps: common, loss: losses[i] ?? null } })),
  };
}

const valueText = (value: unknown): string =>
  value === null ? '–' : typeof value === 'string' ? value : JSON.stringify(value);

/** The settings of which not all values are the same; null where a run has none. */
function differing(all: readonly ReadonlyMap<string, unknown>[]): Map<string, unknown[]> {
  const paths = new Set(all.flatMap((settings) => [...settings.keys()]));
  const rows = [...paths].map((path) => [path, all.map((settings) => settings.get(path) ?? null)] as const);
  return new Map(rows.filter(([, values]) => new Set(values.map((value) => JSON.stringify(value))).size > 1));
}

/** The values in nested objects, by paths such as `optimizer.lr.peak`. */
function flattened(value: object, above = ''): Map<string, unknown> {
  return new Map(
    Object.entries(value).flatMap(([key, one]: [string, unknown]) => {
      const path = above === '' ? key : `${above}.${key}`;
      return isObject(one) || Array.isArray(one) ? [...flattened(one, path)] : [[path, one] as const];
    }),
  );
}
