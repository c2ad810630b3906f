/**
 * What tests look at of an experiment's report.
 *
 * @module
 */
import type { ReportRow } from '../../experiments/report.js';

/** What of a report's rows does not depend on time. */
export function courseOf(rows: readonly ReportRow[]): object[] {
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).filter(([column]) => !/hours|minutes|seconds|PerSecond/i.test(column))),
  );
}
