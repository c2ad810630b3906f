/**
 * Settings of runs side by side: those that differ first.
 *
 * @module
 */

/** One setting in all runs; undefined where a run does not have it. */
export interface SettingRow {
  readonly path: string;
  readonly values: readonly (string | undefined)[];
}

/** Settings of several runs, those that differ and those that are equal, in the order of the first run that has them. */
export function compareSettings(runs: readonly (readonly (readonly [string, string])[])[]): {
  readonly different: readonly SettingRow[];
  readonly equal: readonly SettingRow[];
} {
  const maps = runs.map((settings) => new Map(settings));
  const paths = [...new Set(runs.flatMap((settings) => settings.map(([path]) => path)))];
  const rows = paths.map((path) => ({ path, values: maps.map((settings) => settings.get(path)) }));
  const isEqual = ({ values }: SettingRow): boolean => values.every((value) => value === values[0]);
  return { different: rows.filter((row) => !isEqual(row)), equal: rows.filter(isEqual) };
}
