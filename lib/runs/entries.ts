/**
 * Lines of a run's log, as an observer reads them: any field may be missing or of another kind.
 *
 * @module
 */
import { isObject } from '../support/schema.js';

/** What is told of a step. */
export interface LogEntry {
  readonly step: number;
  /** Numbers by the names of the log's fields; `testLoss` and `testAccuracy` of its tests. */
  readonly values: Record<string, number>;
  /** 2-norms of the gradient by parameter tensor; undefined where the line does not say. */
  readonly gradientNorms: Readonly<Record<string, number>> | undefined;
  /** Fraction of the coordinates that are queried, by parameter tensor; undefined where the line does not say. */
  readonly density: Readonly<Record<string, number>> | undefined;
  /** When the step ended; undefined in logs of earlier versions. */
  readonly time: string | undefined;
}

const NUMBERS = [
  'loss',
  'accuracy',
  'lr',
  'queries',
  'totalQueries',
  'failed',
  'seconds',
  'queriesPerSecond',
  'gradientNorm',
  'updateNorm',
] as const;

/** A line as an entry; undefined if it is none. */
export function parseEntry(line: string): LogEntry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { step, test, time } = value;
  if (!Number.isSafeInteger(step) || (step as number) < 0) return undefined;
  const values: Record<string, number> = {};
  const take = (name: string, one: unknown): void => {
    const found = numberOf(one);
    if (found !== undefined) values[name] = found;
  };
  for (const name of NUMBERS) take(name, value[name]);
  if (isObject(test)) {
    take('testLoss', test['loss']);
    take('testAccuracy', test['accuracy']);
  }
  return {
    step: step as number,
    values,
    gradientNorms: numbersIn(value['gradientNorms']),
    density: numbersIn(value['density']),
    time: typeof time === 'string' ? time : undefined,
  };
}

/**
 * Seconds from the end of the step before, or from a start since then, to the end of a step: with tests and checkpoints, without
 * pauses. Of a log without times, what the step alone took.
 *
 * @param before When the step before ended.
 * @param starts When the run was started, in milliseconds since 1970.
 */
export function secondsUpTo(entry: LogEntry, before: string | undefined, starts: readonly number[]): number {
  const end = Date.parse(entry.time ?? '');
  const start = starts.findLast((time) => time <= end) ?? -Infinity;
  const seconds = (end - Math.max(start, Date.parse(before ?? '') || -Infinity)) / 1000;
  return seconds >= 0 && seconds < Infinity ? seconds : (entry.values['seconds'] ?? 0);
}

/** Characters of a tensor's name; longer ones are shortened in the middle. */
const MOST_NAME = 200;

/** A tensor's name as it is shown. */
export function shortName(name: string): string {
  if (name.length <= MOST_NAME) return name;
  return `${name.slice(0, MOST_NAME / 2)}…${name.slice(1 - MOST_NAME / 2)}`;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** The numbers among an object's values. */
function numbersIn(value: unknown): Record<string, number> | undefined {
  if (!isObject(value)) return undefined;
  const numbers = Object.entries(value).filter((entry): entry is [string, number] => numberOf(entry[1]) !== undefined);
  return Object.fromEntries(numbers.map(([name, number]) => [shortName(name), number]));
}
