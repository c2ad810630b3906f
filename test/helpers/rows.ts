/**
 * Rows of reports in tests.
 *
 * @module
 */
import type { ReportRow } from '../../experiments/support/report.js';

/** The columns of a report's rows that do not depend on time. */
export function withoutTimes(rows: readonly ReportRow[]): object[] {
  return rows.map((row) =>
    Object.fromEntries(Object.entries(row).filter(([column]) => !/hours|minutes|seconds|PerSecond/i.test(column))),
  );
}
