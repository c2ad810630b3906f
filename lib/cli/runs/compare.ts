/**
 * Runs side by side.
 *
 * @module
 */
import { inline } from '../../support/errors.js';
import type { Settings, SettingValue } from '../../runs/settings.js';
import { compareSettings, shownSetting } from '../../runs/settings.js';
import { lossAfter } from '../../runs/summary.js';
import type { RunSummary } from '../../runs/types.js';
import type { Output } from '../output.js';
import { grouped, table } from '../output.js';
import { lossText, remarksOn, RESULTS } from './columns.js';

/** Settings that a comparison prints; `--json` has all. */
const MOST_SETTINGS = 40;

/** A run and its settings. */
export interface ComparedRun {
  readonly summary: RunSummary;
  readonly settings: Settings;
}

/** Prints what differs between runs, and their results. */
export async function compare(compared: readonly ComparedRun[], output: Output): Promise<object> {
  const runs = compared.map(({ summary }) => summary);
  const { different } = compareSettings(compared.map(({ settings }) => settings));
  const names = runs.map(({ name }) => name);
  const shown = different.slice(0, MOST_SETTINGS).map(({ path, values }) => [path, ...values.map(valueText)]);
  if (shown.length === 0) output.line('The settings are the same.\n');
  else output.line(`${table([['setting', ...names], ...shown])}\n`);
  if (different.length > shown.length) {
    output.line(`And ${grouped(different.length - shown.length)} more settings, which --json lists.\n`);
  }
  const common = Math.min(...runs.map(({ steps }) => steps));
  const losses = await Promise.all(runs.map(async ({ path }) => (common > 0 ? lossAfter(path, common) : null)));
  const results = Object.entries(RESULTS)
    .filter(([name]) => name !== 'run')
    .map(([name, of]) => [name, ...runs.map(of)]);
  const equal = [`loss after ${grouped(common)} steps`, ...losses.map(lossText)];
  output.line(table([['result', ...names], ...results, ...(common > 0 ? [equal] : [])]));
  const remarks = runs.flatMap(remarksOn);
  if (remarks.length > 0) output.line(`\n${remarks.join('\n')}`);
  return {
    settings: Object.fromEntries(different.map(({ path, values }) => [path, values.map((value) => value ?? null)])),
    runs: runs.map((run, i) => ({ ...run, lossAfter: { steps: common, loss: losses[i] ?? null } })),
  };
}

const valueText = (value: SettingValue | undefined): string =>
  value === undefined ? '–' : inline(shownSetting(value));
