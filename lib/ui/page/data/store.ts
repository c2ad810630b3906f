/**
 * What the page knows of runs, and what the user has chosen.
 *
 * @module
 */
import type { MaskPicture, RunSummary } from '../../../runs/types.js';
import type { AboutData, Message, RunMessage, RunsMessage, TotalsData } from '../../protocol.js';
import type { Axis, WholeTable } from './series.js';
import { merged } from './series.js';

export interface Run {
  readonly id: number;
  name: string;
  /** Whether it is in the plots. */
  isShown: boolean;
  summary: RunSummary | undefined;
  totals: TotalsData | undefined;
  series: WholeTable | undefined;
  gradientNorms: WholeTable | undefined;
  density: WholeTable | undefined;
  about: AboutData | undefined;
  mask: readonly MaskPicture[] | undefined;
  /** How often the mask has changed. */
  maskVersion: number;
}

/** Runs that are in the plots without having been chosen: more are hard to tell apart. */
const MOST_SHOWN = 8;

export class Store {
  /** In the order of the list, the newest first. */
  runs: Run[] = [];
  left = 0;
  folder: string | undefined;
  /** Whether the list has come. */
  isKnown = false;
  axis: Axis = 'step';
  smoothing = 0.6;
  isLogarithmic = false;
  /** The run whose layers and mask are shown; the first in the plots that has layers, unless one was chosen. */
  #detailed: number | undefined;

  get shown(): Run[] {
    return this.runs.filter(({ isShown }) => isShown);
  }

  get detailed(): Run | undefined {
    const { shown } = this;
    return shown.find(({ id }) => id === this.#detailed) ?? shown.find(hasLayers) ?? shown[0];
  }

  set detailed(run: Run | undefined) {
    this.#detailed = run?.id;
  }

  receive(message: Message): void {
    if (message.type === 'runs') this.#receiveList(message);
    else this.#receiveRun(message);
  }

  #receiveList({ runs, left, folder }: RunsMessage): void {
    this.isKnown = true;
    this.left = left;
    this.folder = folder;
    const known = new Map(this.runs.map((run) => [run.id, run]));
    let shown = this.runs.filter(({ id, isShown }) => isShown && runs.some((run) => run.id === id)).length;
    this.runs = runs.map(({ id, name }) => {
      const old = known.get(id);
      if (old) return old;
      const isShown = shown++ < MOST_SHOWN;
      const tables = { series: undefined, gradientNorms: undefined, density: undefined };
      const others = { summary: undefined, totals: undefined, about: undefined, mask: undefined, maskVersion: 0 };
      return { id, name, isShown, ...tables, ...others };
    });
  }

  #receiveRun(message: RunMessage): void {
    const run = this.runs.find(({ id }) => id === message.id);
    if (!run) return;
    for (const name of ['series', 'gradientNorms', 'density'] as const) {
      const part = message[name];
      if (part) run[name] = merged(run[name], part);
    }
    run.summary = message.summary ?? run.summary;
    run.totals = message.totals ?? run.totals;
    run.about = message.about ?? run.about;
    if (message.mask === undefined) return;
    run.mask = message.mask ?? undefined;
    run.maskVersion++;
  }
}

const hasLayers = ({ gradientNorms, density }: Run): boolean =>
  [gradientNorms, density].some((table) => Object.keys(table?.columns ?? {}).length > 0);

/** Seconds until a run ends, undefined where that is unknown. */
export function secondsLeft(run: Run): number | undefined {
  const { state, steps = 0, totalSteps, inProgress, secondsPerStep } = run.summary ?? {};
  if (state !== 'running' || !totalSteps) return undefined;
  const pace = secondsPerStep ?? secondsOfFirst(run);
  return pace && Math.max(0, totalSteps - steps - (inProgress?.within ?? 0)) * pace;
}

/** What the first step will take, while it goes on. */
function secondsOfFirst({ summary }: Run): number | undefined {
  const { seconds, inProgress } = summary ?? {};
  return seconds && inProgress?.within ? seconds / inProgress.within : undefined;
}

/** The fraction of a run that is done; undefined where its length is unknown. */
export function fractionDone({ summary }: Run): number | undefined {
  if (!summary?.totalSteps) return undefined;
  const { steps, totalSteps, inProgress } = summary;
  return Math.min(1, (steps + (inProgress?.within ?? 0)) / totalSteps);
}
