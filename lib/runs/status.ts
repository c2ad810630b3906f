/**
 * How far a run is, by `status.json`, which a run replaces while it goes on.
 *
 * @module
 */
import { isLocked } from '../support/files.js';
import { isObject } from '../support/schema.js';

/** `killed`: the file says that the run goes on, but nothing does. */
export type RunState = 'running' | 'stopped' | 'finished' | 'failed' | 'killed';

/** Fields that the file lacks are absent. */
export interface RunStatus {
  readonly state: RunState;
  /** When the file was written, ISO 8601. */
  readonly time?: string;
  /** Steps done, and those of the whole run. */
  readonly step?: number;
  readonly totalSteps?: number;
  /** Fraction of the step in progress, from 0 to 1. */
  readonly within?: number;
  /** Queries of the step in progress that are done, and all of it. */
  readonly done?: number;
  readonly of?: number;
  /** Why it failed or stopped. */
  readonly message?: string;
}

const STATES: readonly unknown[] = ['running', 'stopped', 'finished', 'failed'];

/** The status that a JSON value tells; undefined if it tells none. */
export function parseStatus(value: unknown): RunStatus | undefined {
  if (!isObject(value) || !STATES.includes(value['state'])) return undefined;
  const { time, message } = value;
  const numbers = (['step', 'totalSteps', 'within', 'done', 'of'] as const).flatMap((name) => {
    const one = value[name];
    return typeof one === 'number' && Number.isFinite(one) && one >= 0 ? [[name, one] as const] : [];
  });
  return {
    state: value['state'] as RunState,
    ...Object.fromEntries(numbers),
    ...(typeof time === 'string' && { time }),
    ...(typeof message === 'string' && { message: message.slice(0, MOST_MESSAGE) }),
  };
}

/** The longest message that is shown, in characters. */
const MOST_MESSAGE = 2000;

/** Age from which a status that says `running` is doubted, in milliseconds: a run writes one every second. */
const DOUBTED_MS = 10_000;

/** The same status, or `killed` where the run that it tells of is gone. */
export async function withKilled(status: RunStatus, folder: string, now: number): Promise<RunStatus> {
  const written = Date.parse(status.time ?? '');
  if (status.state !== 'running' || !(now - written > DOUBTED_MS)) return status;
  return (await isLocked(folder).catch(() => false)) ? status : { ...status, state: 'killed' };
}
