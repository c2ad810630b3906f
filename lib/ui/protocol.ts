/**
 * What the page receives: by server-sent events while it is served, or as one list within a report.
 *
 * @module
 */

/** A column of a table, thinned: nulls where there is no value. */
export interface Rows {
  readonly mean: readonly (number | null)[];
  readonly min?: readonly (number | null)[];
  readonly max?: readonly (number | null)[];
}

/** The rows of a table from one on; those before are known. */
export interface TablePart {
  /** Steps that a row covers. A width other than the known one comes with all rows. */
  readonly width: number;
  readonly from: number;
  /** Means of the steps that the rows cover. */
  readonly step: readonly (number | null)[];
  readonly columns: Readonly<Record<string, Rows>>;
  /** Columns that were left out, since there are too many. */
  readonly dropped: number;
}

export interface MaskData {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kept: number;
  readonly rows: number;
  readonly columns: number;
  /** Base64 of a byte per cell. */
  readonly cells: string;
}

export interface StatusData {
  readonly state: string;
  readonly time?: string;
  readonly step?: number;
  readonly totalSteps?: number;
  readonly within?: number;
  readonly done?: number;
  readonly of?: number;
  readonly message?: string;
}

export interface ProgressData {
  readonly step: number;
  readonly time?: string;
  readonly means: Readonly<Record<string, number>>;
  readonly queries: number;
  readonly seconds: number;
  readonly failed: number;
  readonly test?: { readonly step: number; readonly loss?: number; readonly accuracy?: number };
  readonly bestTest?: { readonly step: number; readonly accuracy: number };
}

/** What does not change at every step. */
export interface AboutData {
  /** Settings by their path, `estimator.mu`, as text. */
  readonly settings: readonly (readonly [string, string])[];
  /** One row for each start of the run: its values by their names, as text. */
  readonly starts: readonly Readonly<Record<string, string>>[];
  readonly version?: string;
  /** Remarks on files that cannot be read. */
  readonly problems: readonly string[];
}

/** The list of runs. */
export interface RunsMessage {
  readonly type: 'runs';
  readonly runs: readonly { readonly id: number; readonly name: string }[];
  /** Runs that are not followed, since there are too many. */
  readonly left: number;
  /** Where new runs appear; undefined where the runs were named. */
  readonly folder?: string;
}

/** A run's parts that have changed. */
export interface RunMessage {
  readonly type: 'run';
  readonly id: number;
  readonly progress?: ProgressData | null;
  readonly series?: TablePart;
  readonly gradientNorms?: TablePart;
  readonly density?: TablePart;
  readonly status?: StatusData | null;
  readonly about?: AboutData;
  readonly mask?: readonly MaskData[] | null;
}

/** `beat`: the server is there; `end`: it will not be any more. */
export interface SignOfLife {
  readonly type: 'beat' | 'end';
}

export type Message = RunsMessage | RunMessage;

/** What a report holds. */
export interface ReportData {
  readonly version: string;
  /** ISO 8601. */
  readonly made: string;
  readonly messages: readonly Message[];
}
