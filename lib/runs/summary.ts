/**
 * What a run's folder says of the run, by its small files, the header of its checkpoint and the end of its log.
 *
 * @module
 */
import { stat } from 'node:fs/promises';

import { FileError } from '../support/errors.js';
import { InputFile, isLocked } from '../support/files.js';
import { isObject } from '../support/schema.js';
import { mean } from '../support/statistics.js';
import { hasEnded } from '../support/writers.js';
import { RunFolder } from '../training/folder.js';
import type { RunAbout } from '../training/record/about.js';
import type { RunStatus } from '../training/record/status.js';
import type { LogEntry } from './entries.js';
import { withRegularFile } from './files.js';
import { endOfStep, lastSteps, lastTested, testOf } from './log-end.js';
import type { RunFiles } from './run-files.js';
import type { RunState, RunSummary, TestResult } from './types.js';

/** Steps whose means are the present loss, accuracy and speed: those of single mini-batches vary much. */
export const WINDOW = 10;

/**
 * What the folder of a run says; what cannot be read is among the problems.
 *
 * @param files They are up to date; of a run that has just ended, the status is read again.
 * @param tested The last test in the log, where it is known; undefined: it is searched for.
 */
export async function summarise(
  files: RunFiles,
  name: string,
  tested?: () => TestResult | undefined,
): Promise<RunSummary> {
  const { folder, about, options } = files;
  const { path } = folder;
  const isAlive = await hasProcess(files);
  const { status } = files;
  const config = about?.config ?? {};
  const start = about?.starts.at(-1);
  const { log, problems } = await tryLog(folder, about?.starts ?? [], tested);
  const { last } = log;
  const logged = last ? last.step + 1 : 0;
  // Between checkpoints the log may be ahead, and a run that goes on cuts it.
  const steps = Math.max(logged, files.savedSteps ?? status?.step ?? 0);
  const totalSteps = status?.totalSteps ?? numberIn(config, 'steps') ?? numberIn(options, 'steps') ?? null;
  const state = stateOf(status, isAlive, { steps, totalSteps });
  const isWhole = logged === steps;
  // A log that cannot be read is a problem already.
  if (!isWhole && (last || problems.length === 0)) problems.push(shortLog(folder, logged, steps));
  // Of a step in progress only its status tells the time.
  const running = state === 'running' && status && start ? sinceLast(status, start.time, last) : 0;
  return {
    ...{ name, path, state, message: status?.message ?? null },
    network: networkOf(config) ?? textIn(options, 'network') ?? null,
    estimator: estimatorOf(config) ?? textIn(options, 'estimator') ?? null,
    ...{ steps, totalSteps, inProgress: stepInProgress(state, status, steps) },
    ...log.means,
    secondsPerStep: log.secondsPerStep,
    test: log.test ?? null,
    queries: last && isWhole ? queriesUpTo(last) : null,
    seconds: start && isWhole ? log.seconds + running : null,
    ...{ processor: start?.processor ?? null, threads: start?.threads ?? null },
    started: start?.time ?? new Date((await stat(path).catch(() => ({ mtimeMs: 0 }))).mtimeMs).toISOString(),
    problems: [...files.problems, ...problems],
  };
}

/** Age from which a status that says `running` is doubted, in milliseconds: a run writes one every second. */
const DOUBTED_MS = 10_000;

/** Whether a process has the run under way. */
async function hasProcess(files: RunFiles): Promise<boolean> {
  const { folder, status } = files;
  if (await isLocked(folder.path).catch(() => false)) return true;
  if (status?.state !== 'running') return false;
  // Of another machine neither the lock nor the process is seen, but the status is.
  if (hasEnded(status.writer ?? '') !== true) return Math.abs(Date.now() - Date.parse(status.time)) <= DOUBTED_MS;
  // It may have ended after its status was read, and have said how.
  await files.updateStatus();
  return false;
}

/**
 * The state of a run.
 *
 * @param steps Steps done, and those of the whole run; null where nothing tells them.
 */
function stateOf(
  status: RunStatus | undefined,
  isAlive: boolean,
  { steps, totalSteps }: { readonly steps: number; readonly totalSteps: number | null },
): RunState {
  if (status && status.state !== 'running') return status.state;
  if (isAlive) return status || steps > 0 ? 'running' : 'starting';
  if (status) return 'killed';
  // Earlier versions wrote no status.
  return steps > 0 && steps === totalSteps ? 'finished' : 'stopped';
}

/** Whether the state may change without a change of the run's files. */
export function isUnderWay(state: RunState): boolean {
  return state === 'running' || state === 'starting';
}

/** What is said of a log of which some lines tell no step. */
export function brokenLog({ log }: RunFolder): string {
  return new FileError(log, 'has lines that are no steps').message;
}

/** What is said of a log that lacks the last steps. */
function shortLog({ log }: RunFolder, logged: number, steps: number): string {
  return new FileError(log, `ends after ${logged} of the ${steps} steps done`).message;
}

/** A status is written less often than the log. */
function stepInProgress(state: RunState, status: RunStatus | undefined, steps: number): RunSummary['inProgress'] {
  if (state !== 'running' || status?.step !== steps || status.of === 0) return null;
  const { within, done, of } = status;
  return { within, done, of };
}

/** Earlier versions wrote only those of each step, of which most have equally many. */
function queriesUpTo({ step, values }: LogEntry): number | null {
  const { totalQueries, queries } = values;
  return totalQueries ?? (queries === undefined ? null : queries * (step + 1));
}

/** Seconds from the last step, or from the start if that is later, up to the status. */
function sinceLast(status: RunStatus, start: string, last: LogEntry | undefined): number {
  const since = Math.max(Date.parse(start), Date.parse(last?.time ?? '') || 0);
  return Math.max(0, (Date.parse(status.time) - since) / 1000) || 0;
}

type Means = Pick<RunSummary, 'loss' | 'accuracy' | 'queriesPerSecond'>;

interface LogSummary {
  readonly means: Means;
  readonly secondsPerStep: number | null;
  readonly last?: LogEntry | undefined;
  readonly test?: TestResult | undefined;
  readonly seconds: number;
}

async function tryLog(
  folder: RunFolder,
  starts: RunAbout['starts'],
  findTest: (() => TestResult | undefined) | undefined,
): Promise<{ log: LogSummary; problems: string[] }> {
  const nothing = { means: meansOf([]), secondsPerStep: null, seconds: 0 };
  try {
    const found = await withLog(folder, async (input) => {
      const { steps, broken } = await lastSteps(input, WINDOW);
      const tested = findTest ? undefined : await lastTested(input);
      const last = steps.at(-1);
      const test = findTest ? findTest() : tested && testOf(tested);
      const [seconds, secondsPerStep] = [await secondsOf(input, starts, last), await paceOf(input, starts, steps)];
      const log = { means: meansOf(steps), secondsPerStep, last, test, seconds };
      return { log, problems: broken > 0 ? [brokenLog(folder)] : [] };
    });
    return found ?? { log: nothing, problems: [] };
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    return { log: nothing, problems: [error.message] };
  }
}

/** Opens a run's log; undefined if there is none. */
async function withLog<T>({ log }: RunFolder, action: (input: InputFile) => Promise<T>): Promise<T | undefined> {
  return withRegularFile(log, async (handle, { size }) => action(new InputFile(log, handle, Number(size))));
}

function meanOf(steps: readonly LogEntry[], name: string): number | null {
  const values = steps.map((step) => step.values[name]).filter((value) => value !== undefined);
  return values.length === 0 ? null : mean(values);
}

function meansOf(steps: readonly LogEntry[]): Means {
  const of = (name: string): number | null => meanOf(steps, name);
  return { loss: of('loss'), accuracy: of('accuracy'), queriesPerSecond: of('queriesPerSecond') };
}

/** The mean loss of the steps up to the `count`-th; null if there are fewer. */
export async function lossAfter(path: string, count: number): Promise<number | null> {
  const loss = await withLog(new RunFolder(path), async (input) => {
    const end = await endOfStep(input, count - 1);
    return end === undefined ? null : meansOf((await lastSteps(input, WINDOW, end)).steps).loss;
  }).catch(() => null);
  return loss ?? null;
}

/** From every start to the last step that the next one went on from. */
async function secondsOf(input: InputFile, starts: RunAbout['starts'], last: LogEntry | undefined): Promise<number> {
  let seconds = 0;
  for (const [i, { time, step }] of starts.entries()) {
    const end = starts[i + 1]?.step ?? (last ? last.step + 1 : 0);
    if (end <= step) continue;
    const ended = i + 1 === starts.length ? last : await stepAt(input, end - 1);
    seconds += Math.max(0, (Date.parse(ended?.time ?? '') - Date.parse(time)) / 1000 || 0);
  }
  return seconds;
}

/**
 * Seconds of a step: the mean over the last half of the steps, or over those since the last start, which may be on another machine. Of a
 * log without times, what the last steps took alone.
 */
async function paceOf(
  input: InputFile,
  starts: RunAbout['starts'],
  steps: readonly LogEntry[],
): Promise<number | null> {
  const last = steps.at(-1);
  if (!last) return null;
  const start = starts.findLast(({ step }) => step <= last.step);
  const begun = start?.step ?? 0;
  /** The step before those that count. */
  const before = Math.max(Math.floor((last.step - 1) / 2), begun - 1);
  const since = before < begun ? start?.time : (await stepAt(input, before))?.time;
  const seconds = (Date.parse(last.time ?? '') - Date.parse(since ?? '')) / 1000;
  return seconds >= 0 ? seconds / (last.step - before) : meanOf(steps, 'seconds');
}

async function stepAt(input: InputFile, step: number): Promise<LogEntry | undefined> {
  const end = await endOfStep(input, step);
  return end === undefined ? undefined : (await lastSteps(input, 1, end)).steps[0];
}

function numberIn(from: object | undefined, key: string): number | undefined {
  const value = (from as Record<string, unknown> | undefined)?.[key];
  return typeof value === 'number' ? value : undefined;
}

function textIn(from: object | undefined, key: string): string | undefined {
  const value = (from as Record<string, unknown> | undefined)?.[key];
  return typeof value === 'string' ? value : undefined;
}

function partOf(config: object, key: string): object | undefined {
  const value = (config as Record<string, unknown>)[key];
  return isObject(value) ? value : undefined;
}

const networkOf = (config: object): string | undefined => textIn(partOf(config, 'network'), 'name');

/** As `--estimator` names it. */
function estimatorOf(config: object): string | undefined {
  const estimator = partOf(config, 'estimator');
  const kind = textIn(estimator, 'kind');
  if (kind !== 'cge') return kind;
  const isSparse = partOf(estimator!, 'ratios') ?? partOf(estimator!, 'coordinates') ?? numberIn(estimator, 'sparsity');
  return isSparse ? 'sparse-cge' : 'cge';
}
