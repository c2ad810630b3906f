/**
 * A run as messages to the page: everything at first, then what has changed.
 *
 * @module
 */
import type { RunReader, Versions } from '../runs/reader.js';
import type { Table } from '../runs/table.js';
import { isObject } from '../support/schema.js';
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
  if (!(['log', 'about', 'status', 'mask'] as const).some(isNew)) return undefined;
  const isOther = isNew('generation');
  const tables = TABLES.map((name) => [name, partOf(run[name], isOther ? undefined : known?.tables[name])] as const);
  const message: RunMessage = {
    ...{ type: 'run', id },
    ...(isNew('log') && { progress: run.progress ?? null, ...Object.fromEntries(tables) }),
    ...(isNew('status') && { status: run.status ?? null }),
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

/** Settings and starts that are shown, and the characters of a value. */
const MOST_SETTINGS = 500;
const MOST_STARTS = 100;
const MOST_CHARACTERS = 200;

function aboutOf({ run, config, problems, ignoredLines }: RunReader): AboutData {
  const { starts, version } = run ?? {};
  // The command writes its options beside what identifies the data.
  const settings = isObject(config?.['options']) ? config['options'] : config;
  const ignored =
    ignoredLines === 1 ? '1 line of the log is no entry' : `${ignoredLines} lines of the log are no entries`;
  return {
    settings: leaves(settings ?? run?.['config']).slice(0, MOST_SETTINGS),
    starts: (Array.isArray(starts) ? starts : [])
      .filter(isObject)
      .slice(-MOST_STARTS)
      .map((start) => Object.fromEntries(leaves(start))),
    ...(typeof version === 'string' && { version }),
    problems: [...problems, ...(ignoredLines > 0 ? [`log.jsonl: ${ignored}`] : [])],
  };
}

/** The innermost values of a JSON value, by their paths; short lists count as values. */
function leaves(value: unknown, path = ''): [string, string][] {
  if (isObject(value)) {
    return Object.entries(value)
      .slice(0, MOST_SETTINGS)
      .flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`));
  }
  // An option that is not set is null in the command's file.
  if (value === undefined || value === null || path === '') return [];
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return [[path, text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS)}…`]];
}
