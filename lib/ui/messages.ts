/**
 * A run as messages to the page: everything at first, then what has changed.
 *
 * @module
 */
import type { RunReader, Versions } from '../runs/reader.js';
import type { Table } from '../runs/table.js';
import type { AboutData, RunMessage, TablePart } from './protocol.js';

/** What a page has of a run. */
export interface Cursor {
  readonly versions: Versions;
  readonly tables: Readonly<Record<TableName, { readonly width: number; readonly length: number }>>;
}

const TABLES = ['series', 'gradientNorms', 'density'] as const;
type TableName = (typeof TABLES)[number];

/** The parts of a run that a page lacks, and what it has after them; undefined if it has all. */
export function changesOf(
  run: RunReader,
  id: number,
  known: Cursor | undefined,
): { readonly message: RunMessage; readonly cursor: Cursor } | undefined {
  const { versions } = run;
  const isNew = (part: keyof Versions): boolean => known?.versions[part] !== versions[part];
  if (!(['log', 'about', 'summary', 'mask'] as const).some(isNew)) return undefined;
  const isOther = isNew('generation');
  const tables = TABLES.map((name) => [name, partOf(run[name], isOther ? undefined : known?.tables[name])] as const);
  const message: RunMessage = {
    ...{ type: 'run', id },
    ...(isNew('log') && Object.fromEntries(tables)),
    ...(isNew('summary') && run.summary && { summary: run.summary }),
    ...((isNew('log') || isNew('summary')) && { totals: { failed: run.failed, bestTest: run.bestTest } }),
    ...(isNew('about') && { about: aboutOf(run) }),
    ...(isNew('mask') && { mask: run.mask ?? null }),
  };
  const sizes = TABLES.map((name) => [name, { width: run[name].width, length: run[name].length }]);
  return { message, cursor: { versions: { ...versions }, tables: Object.fromEntries(sizes) as Cursor['tables'] } };
}

function partOf(table: Table, known: { readonly width: number; readonly length: number } | undefined): TablePart {
  const { width, dropped } = table;
  // The last row that is known may have got more steps.
  const from = known?.width === width ? Math.max(0, known.length - 1) : 0;
  const { step, columns } = table.rows(from);
  return { width, from, step, columns, dropped };
}

/** Starts that are shown, the last ones. */
const MOST_STARTS = 100;

function aboutOf({ files }: RunReader): AboutData {
  return {
    settings: [...files.settings],
    starts: (files.about?.starts ?? []).slice(-MOST_STARTS).map((start) => ({ ...start })),
  };
}
