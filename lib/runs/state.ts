/**
 * The state of a run, by `status.json`, which a run replaces while it goes on, and by the lock of its folder.
 *
 * @module
 */
import { isLocked } from '../support/files.js';
import type { RunStatus } from '../training/record/status.js';
import type { RunState } from './types.js';

/** Age from which a status that says `running` is doubted, in milliseconds: a run writes one every second. */
const DOUBTED_MS = 10_000;

/**
 * The state of the run in a folder.
 *
 * @param steps Steps in its log, and those of the whole run; null where nothing tells them.
 */
export async function stateOf(
  folder: string,
  status: RunStatus | undefined,
  { steps, totalSteps }: { readonly steps: number; readonly totalSteps: number | null },
): Promise<RunState> {
  if (status && status.state !== 'running') return status.state;
  // On another machine the lock is not seen, but the status is.
  const isYoung = status !== undefined && Date.now() - Date.parse(status.time) <= DOUBTED_MS;
  if (isYoung || (await isLocked(folder).catch(() => false))) return status || steps > 0 ? 'running' : 'starting';
  if (status) return 'killed';
  // Earlier versions wrote no status.
  return steps > 0 && steps === totalSteps ? 'finished' : 'stopped';
}

/** Whether the state may change without a change of the run's files. */
export function isUnderWay(state: RunState): boolean {
  return state === 'running' || state === 'starting';
}
