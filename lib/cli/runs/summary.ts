/**
 * What a run's folder says of the run, by its small files and the end of its log.
 *
 * @module
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve as absolutePath } from 'node:path';

import { FileError } from '../../support/errors.js';
import type { InputFile } from '../../support/files.js';
import { exists, isLocked, withFileErrors, withInputFile } from '../../support/files.js';
import { readJson } from '../../support/json.js';
import { isObject } from '../../support/schema.js';
import { mean } from '../../support/statistics.js';
import { RunFolder } from '../../training/folder.js';
import type { TrainStep } from '../../training/log.js';
import type { RunAbout } from '../../training/record/about.js';
import { readAbout } from '../../training/record/about.js';
import type { RunStatus } from '../../training/record/status.js';
import { readStatus } from '../../training/record/status.js';
import { WINDOW } from '../train/progress.js';
import { endOfStep, lastSteps, lastTested } from './log-end.js';

/** `killed`: it was under way and did not say how it ended. `starting`: its first step has not begun. */
export type RunState = RunStatus['state'] | 'killed' | 'starting';

/** A run; what its folder does not say is null. */
export interface RunSummary {
  readonly name: string;
  readonly path: string;
  readonly state: RunState;
  readonly network: string | null;
  readonly estimator: string | null;
  /** Steps done, and of the whole run. */
  readonly steps: number;
  readonly totalSteps: number | null;
  /** Means over the last steps. */
  readonly loss: number | null;
  readonly accuracy: number | null;
  readonly queriesPerSecond: number | null;
  /** The last test. */
  readonly test: { readonly step: number; readonly loss: number; readonly accuracy: number | null } | null;
  readonly queries: number | null;
  /** Of all its starts, without the pauses between them. */
  readonly seconds: number | null;
  readonly processor: string | null;
  readonly threads: number | null;
  /** When it was started last, ISO 8601; of a folder of an earlier version, when something was written to it last. */
  readonly started: string;
  /** Every setting that the results depend on. */
  readonly settings: object;
  /** What is wrong with the folder, a line each. */
  readonly problems: readonly string[];
}

/** A run as `--json` lists it. */
export function withoutSettings(run: RunSummary): Omit<RunSummary, 'settings'> {
  return Object.fromEntries(Object.entries(run).filter(([key]) => key !== 'settings')) as Omit<RunSummary, 'settings'>;
}

/** Files of which a run's folder has at least one. */
const FILES = ['log.jsonl', 'run.json', 'status.json', 'config.json', 'run.safetensors'];

/**
 * The folders of runs among those given and directly in them.
 *
 * @throws FileError if one that is given cannot be read.
 */
export async function findRuns(folders: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const folder of folders) {
    const entries = await withFileErrors(folder, readdir(folder, { withFileTypes: true }));
    if (entries.some(({ name }) => FILES.includes(name))) found.push(folder);
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (!entry.isDirectory() && !entry.isSymbolicLink()) continue;
      const names = await readdir(path).catch((): string[] => []);
      if (names.some((name) => FILES.includes(name))) found.push(path);
    }
  }
  return [...new Map(found.map((path) => [absolutePath(path), path])).values()];
}

/** Age from which a status of a run that is under way is doubted, in milliseconds: it is written every second. */
const DOUBTED_MS = 10_000;

/** Reads a run's folder; what cannot be read is among its problems. */
export async function summarise(path: string): Promise<RunSummary> {
  const folder = new RunFolder(path);
  const problems: string[] = [];
  const read = async <T>(file: string, use: (file: string) => Promise<T>): Promise<T | undefined> => {
    try {
      return (await exists(file)) ? await use(file) : undefined;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  const about = await read(folder.about, readAbout);
  const status = await read(folder.status, readStatus);
  const options = optionsOf(await read(join(path, 'config.json'), readJson));
  const log = await read(folder.log, (file) => withInputFile(file, (input) => readLog(input, about?.starts ?? [])));
  if (log && log.broken > 0) problems.push(new FileError(folder.log, 'has lines that are no steps').message);
  const last = log?.last;
  const steps = last ? last.step + 1 : 0;
  const config = about?.config ?? {};
  const totalSteps = status?.totalSteps ?? numberIn(config, 'steps') ?? numberIn(options, 'steps') ?? null;
  const state = await stateOf(path, status, steps > 0 && steps === totalSteps);
  const start = about?.starts.at(-1);
  // Of a step in progress only its status tells the time.
  const running = state === 'running' && status && start ? sinceLast(status, start.time, last) : 0;
  return {
    ...{ name: basename(absolutePath(path)), path, state },
    network: networkOf(config) ?? textIn(options, 'network') ?? null,
    estimator: estimatorOf(config) ?? textIn(options, 'estimator') ?? null,
    ...{ steps, totalSteps },
    ...{ loss: log?.loss ?? null, accuracy: log?.accuracy ?? null, queriesPerSecond: log?.queriesPerSecond ?? null },
    test: finalTest(status) ?? log?.test ?? null,
    queries: last ? (last.totalQueries ?? last.queries * steps) : null,
    seconds: start ? (log?.seconds ?? 0) + running : null,
    ...{ processor: start?.processor ?? null, threads: start?.threads ?? null },
    started: start?.time ?? new Date((await stat(path).catch(() => ({ mtimeMs: 0 }))).mtimeMs).toISOString(),
    settings: options ?? config,
    problems,
  };
}

/** The test at the end of a run. */
function finalTest(status: RunStatus | undefined): RunSummary['test'] | undefined {
  return status?.test && { step: status.step - 1, loss: status.test.loss, accuracy: status.test.accuracy ?? null };
}

/** Seconds from the last step, or from the start if that is later, up to the status. */
function sinceLast(status: RunStatus, start: string, last: TrainStep | undefined): number {
  const since = Math.max(Date.parse(start), Date.parse(last?.time ?? '') || 0);
  return Math.max(0, (Date.parse(status.time) - since) / 1000);
}

async function stateOf(path: string, status: RunStatus | undefined, isWhole: boolean): Promise<RunState> {
  if (status && status.state !== 'running') return status.state;
  const isYoung = status !== undefined && Date.now() - Date.parse(status.time) <= DOUBTED_MS;
  if (isYoung || (await isLocked(path).catch(() => false))) return status ? 'running' : 'starting';
  if (status) return 'killed';
  return isWhole ? 'finished' : 'stopped';
}

interface LogSummary extends Pick<RunSummary, 'loss' | 'accuracy' | 'queriesPerSecond' | 'test' | 'seconds'> {
  readonly last: TrainStep | undefined;
  /** Lines near the end that are no steps. */
  readonly broken: number;
}

async function readLog(input: InputFile, starts: RunAbout['starts']): Promise<LogSummary> {
  const { steps, broken } = await lastSteps(input, WINDOW);
  const tested = await lastTested(input);
  return {
    ...means(steps),
    last: steps.at(-1),
    test: tested ? { step: tested.step, loss: tested.test!.loss, accuracy: tested.test!.accuracy ?? null } : null,
    seconds: await secondsOf(input, starts, steps.at(-1)),
    broken,
  };
}

function means(steps: readonly TrainStep[]): Pick<RunSummary, 'loss' | 'accuracy' | 'queriesPerSecond'> {
  const of = (key: 'loss' | 'accuracy' | 'queriesPerSecond'): number | null => {
    const values = steps.map((step) => step[key]).filter((value) => typeof value === 'number');
    return values.length === 0 ? null : mean(values);
  };
  return { loss: of('loss'), accuracy: of('accuracy'), queriesPerSecond: of('queriesPerSecond') };
}

/** The mean loss of the steps up to the `count`-th; null if there are fewer. */
export async function lossAfter(path: string, count: number): Promise<number | null> {
  return withInputFile(new RunFolder(path).log, async (input) => {
    const end = await endOfStep(input, count - 1);
    return end === undefined ? null : means((await lastSteps(input, WINDOW, end)).steps).loss;
  }).catch(() => null);
}

/** From every start to the last step that the next one went on from. */
async function secondsOf(
  input: InputFile,
  starts: RunAbout['starts'],
  last: TrainStep | undefined,
): Promise<number | null> {
  let seconds = 0;
  for (const [i, { time, step }] of starts.entries()) {
    const end = starts[i + 1]?.step ?? (last ? last.step + 1 : 0);
    if (end <= step) continue;
    const ended = i + 1 === starts.length ? last : await stepAt(input, end - 1);
    seconds += Math.max(0, (Date.parse(ended?.time ?? '') - Date.parse(time)) / 1000 || 0);
  }
  return seconds;
}

async function stepAt(input: InputFile, step: number): Promise<TrainStep | undefined> {
  const end = await endOfStep(input, step);
  return end === undefined ? undefined : (await lastSteps(input, 1, end)).steps[0];
}

/** The options in a command's `config.json`, with values. */
function optionsOf(content: unknown): Record<string, unknown> | undefined {
  const options = isObject(content) ? content['options'] : undefined;
  if (!isObject(options)) return undefined;
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== null));
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
