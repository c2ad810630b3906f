/**
 * Settings of the runs in the plots, side by side, and when and where they were started.
 *
 * @module
 */
import type { SettingRow, SettingValue } from '../../runs/settings.js';
import { compareSettings, shownSetting } from '../../runs/settings.js';
import { element, scrolling, setShown, tableOf } from './dom.js';
import { NONE, number, time } from './data/format.js';
import type { Run } from './data/store.js';

export class About {
  readonly settings = element('div');
  readonly starts = element('div');
  #shown: readonly unknown[] = [];

  update(runs: readonly Run[]): void {
    const known = runs.filter(({ about }) => about !== undefined);
    const state = known.flatMap(({ name, about }) => [name, about]);
    if (state.length === this.#shown.length && state.every((one, i) => one === this.#shown[i])) return;
    this.#shown = state;
    this.#fillSettings(known);
    this.#fillStarts(known);
  }

  #fillSettings(runs: readonly Run[]): void {
    const { different, equal } = compareSettings(runs.map(({ about }) => about!.settings));
    const parts: HTMLElement[] = [];
    if (different.length > 0) {
      const head = ['Setting', ...runs.map(({ name }) => name)];
      const rows = different.map(({ path, values }) => [path, ...values.map(valueText)]);
      parts.push(element('h3', {}, `Different (${different.length})`));
      parts.push(scrolling('Settings that differ', tableOf('Settings that differ', [head, ...rows])));
    }
    if (equal.length > 0) parts.push(equalSettings(equal, runs.length));
    if (parts.length === 0)
      parts.push(element('p', { class: 'empty' }, 'These runs have no settings in their folders.'));
    this.settings.replaceChildren(...parts);
  }

  #fillStarts(runs: readonly Run[]): void {
    const starts = runs.flatMap(({ name, about }) => about!.starts.map((start) => ({ name, start })));
    setShown(this.starts, starts.length > 0);
    const keys = [...new Set(starts.flatMap(({ start }) => Object.keys(start)))];
    const head = ['Run', ...keys.map((key) => TITLES[key] ?? key)];
    const rows = starts.map(({ name, start }) => [name, ...keys.map((key) => startText(key, start[key]))]);
    this.starts.replaceChildren(scrolling('Starts', tableOf('Starts of each run', [head, ...rows])));
  }
}

const TITLES: Readonly<Record<string, string>> = {
  ...{ time: 'Started', step: 'At step', host: 'Host', pid: 'Process', processor: 'Processor', threads: 'Threads' },
  ...{ ranks: 'Ranks', isa: 'Instruction set', node: 'Node' },
};

function equalSettings(rows: readonly SettingRow<SettingValue>[], runs: number): HTMLElement {
  const table = tableOf('Settings', [
    ['Setting', 'Value'],
    ...rows.map(({ path, values }) => [path, valueText(values[0])]),
  ]);
  const title = runs === 1 ? `Settings (${rows.length})` : `The same in all (${rows.length})`;
  const summary = element('summary', {}, title);
  return element('details', { class: 'equal' }, summary, scrolling('Settings', table));
}

const startText = (key: string, value: string | number | undefined): string =>
  key === 'time' && typeof value === 'string' ? time(value) : String(value ?? NONE);

/** The characters of a value that are shown. */
const MOST_CHARACTERS = 200;

/** Numbers are shown as plots show them, where nothing is lost by it. */
function valueText(value: SettingValue | undefined): string {
  if (value === undefined) return NONE;
  const short = typeof value === 'number' ? number(value) : '';
  if (Number(short) === value) return short;
  const text = shownSetting(value);
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS)}…`;
}
