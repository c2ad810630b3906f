/**
 * The view of states that augmented random search V2 gives a policy: (s − mean)/deviation, of all states of earlier steps.
 *
 * @module
 */
import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs';

import { FileError } from 'deepzero';

import type { EpisodeOptions } from '../../examples/walkers.js';

/** Sums over the states of an episode. */
export interface StateSums {
  readonly count: number;
  readonly sums: readonly number[];
  readonly squares: readonly number[];
}

type View = NonNullable<EpisodeOptions['view']>;

/** Below this a deviation is rounding: the policy sees 0. */
const LEAST_DEVIATION = 1e-7;

/**
 * Sums of states by query, in a file beside the journal: a run that is resumed has the sums of the answers that the journal has. Those of a
 * step count from the next one on, in the order of the queries' ids, whatever the order in which the episodes ended.
 */
export class Whitening {
  readonly #file: string;
  /** The sums of each step's queries that no view has yet. */
  readonly #open = new Map<number, Map<string, StateSums>>();
  readonly #states: number;
  #count = 0;
  readonly #sums: Float64Array;
  readonly #squares: Float64Array;

  /** @throws FileError if the file is none of this kind. */
  constructor(file: string, states: number) {
    this.#file = file;
    this.#states = states;
    this.#sums = new Float64Array(states);
    this.#squares = new Float64Array(states);
    if (!existsSync(file)) return;
    const text = readFileSync(file, 'utf8');
    // A kill leaves a part of a line, whose answer is not in the journal.
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    if (whole.length < text.length) truncateSync(file, Buffer.byteLength(whole));
    for (const line of whole.split('\n').slice(0, -1)) this.#keep(...this.#parse(line));
  }

  #parse(line: string): [id: string, sums: StateSums] {
    try {
      const { id, ...sums } = JSON.parse(line) as StateSums & { id: string };
      if (sums.sums.length === this.#states && sums.squares.length === this.#states) return [id, sums];
    } catch {
      // The next line says it.
    }
    throw new FileError(this.#file, `expected sums of ${this.#states} states in each line`);
  }

  #keep(id: string, sums: StateSums): void {
    const step = Number.parseInt(id);
    const queries = this.#open.get(step) ?? new Map<string, StateSums>();
    this.#open.set(step, queries.set(id, sums));
  }

  /** Keeps a query's sums, before its answer is told. */
  add(id: string, sums: StateSums): void {
    appendFileSync(this.#file, `${JSON.stringify({ id, ...sums })}\n`);
    this.#keep(id, sums);
  }

  /** What the policies of a step see; undefined at the first. Steps are asked for in their order. */
  at(step: number): View | undefined {
    const earlier = [...this.#open.keys()].filter((other) => other < step).sort((a, b) => a - b);
    for (const other of earlier) {
      const queries = this.#open.get(other)!;
      for (const id of [...queries.keys()].sort()) this.#merge(queries.get(id)!);
      this.#open.delete(other);
    }
    if (this.#count === 0) return undefined;
    const centre = this.#sums.map((sum) => sum / this.#count);
    const scale = this.#squares.map((square, i) => {
      const deviation = Math.sqrt(Math.max(0, square / this.#count - centre[i]! ** 2));
      return deviation < LEAST_DEVIATION ? 0 : 1 / deviation;
    });
    return { centre, scale };
  }

  #merge({ count, sums, squares }: StateSums): void {
    this.#count += count;
    for (let i = 0; i < this.#states; i++) {
      this.#sums[i]! += sums[i]!;
      this.#squares[i]! += squares[i]!;
    }
  }
}
