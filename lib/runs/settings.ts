/**
 * Settings of runs, and how they differ. Browsers read this file too.
 *
 * @module
 */

/** A number, a text, a boolean, or a short list of such. */
export type SettingValue = string | number | boolean | readonly (string | number | boolean)[];

/** Settings by their paths, `optimizer.lr.peak`. */
export type Settings = ReadonlyMap<string, SettingValue>;

/** The settings of a run that are read, and the characters of all: a page has to hold them. */
const MOST_SETTINGS = 5000;
const MOST_CHARACTERS = 2 ** 20;
/** A longer list, as one that holds objects, is told item by item. */
const MOST_ITEMS = 16;

/** The settings in nested objects; null is none. Of more settings than can be shown, the first ones. */
export function settingsIn(value: object): Settings {
  const settings = new Map<string, SettingValue>();
  let characters = 0;
  /** Returns whether there is room for more. */
  const add = (one: unknown, path: string): boolean => {
    if (one === undefined || one === null) return true;
    if (typeof one === 'object' && !isShortList(one)) {
      return Object.entries(one).every(([key, inner]) => add(inner, path === '' ? key : `${path}.${key}`));
    }
    characters += path.length + settingText(one as SettingValue).length;
    if (settings.size >= MOST_SETTINGS || characters > MOST_CHARACTERS) return false;
    settings.set(path, one as SettingValue);
    return true;
  };
  add(value, '');
  return settings;
}

function isShortList(value: object): boolean {
  const isPlain = (item: unknown): boolean => item !== null && typeof item !== 'object';
  return Array.isArray(value) && value.length <= MOST_ITEMS && value.every(isPlain);
}

/** A value as it is compared. */
export function settingText(value: SettingValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** A value as it is shown: fractions to six digits, such as ratios and a dataset's means. */
export function shownSetting(value: SettingValue): string {
  if (Array.isArray(value)) return value.length === 0 ? '[]' : value.map(shortened).join(', ');
  return settingText(shortened(value) as SettingValue);
}

function shortened(value: unknown): unknown {
  return typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(6)) : value;
}

/** One setting in all runs; undefined where a run does not have it. */
export interface SettingRow<T extends SettingValue> {
  readonly path: string;
  readonly values: readonly (T | undefined)[];
}

/**
 * Settings of several runs, those that differ and those that are equal, in the order of the first run that has them. The least nested
 * of those that differ come first: networks may differ in hundreds of places, which must not hide a learning rate.
 */
export function compareSettings<T extends SettingValue>(
  runs: readonly Iterable<readonly [string, T]>[],
): { readonly different: readonly SettingRow<T>[]; readonly equal: readonly SettingRow<T>[] } {
  const maps = runs.map((settings) => new Map(settings));
  const paths = [...new Set(maps.flatMap((settings) => [...settings.keys()]))];
  const rows = paths.map((path) => ({ path, values: maps.map((settings) => settings.get(path)) }));
  const isEqual = ({ values }: SettingRow<T>): boolean =>
    new Set(values.map((value) => value !== undefined && settingText(value))).size === 1;
  const depth = ({ path }: SettingRow<T>): number => path.split('.').length;
  const different = rows.filter((row) => !isEqual(row)).sort((a, b) => depth(a) - depth(b));
  return { different, equal: rows.filter(isEqual) };
}
