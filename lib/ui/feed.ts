/**
 * The runs that are shown: those that were named, or all in a folder, where new ones appear.
 *
 * @module
 */
import { basename } from 'node:path';

import { namesOf, runsIn } from '../runs/find.js';
import { RunReader } from '../runs/reader.js';
import { FileError } from '../support/errors.js';
import type { RunsMessage } from './protocol.js';

/** Runs that are followed: about a MB each. */
export const MOST_RUNS = 50;

/** How often the folder is searched for new runs at most, in milliseconds, and in which part of the time. */
const SEARCH_MS = 2000;
const SEARCH_PART = 1 / 20;

/** Which runs: folders, or the folder in which they lie. */
export type Source = { readonly runs: readonly string[] } | { readonly folder: string };

interface Followed {
  readonly id: number;
  readonly reader: RunReader;
}

/** Follows runs. */
export class Feed {
  readonly #source: Source;
  readonly #followed = new Map<string, Followed>();
  #left = 0;
  #nextId = 0;
  #nextSearch = 0;

  /** @param source Of more than 50 runs in a folder, those that changed last are followed. */
  constructor(source: Source) {
    this.#source = source;
    if (!('runs' in source)) return;
    const paths = [...new Set(source.runs)];
    const names = namesOf(paths);
    paths.forEach((path, i) => {
      this.#follow(path, names[i]!);
    });
  }

  /** Those that were named, in that order; those of a folder with the newest first. */
  get runs(): readonly Followed[] {
    const runs = [...this.#followed.values()];
    return 'runs' in this.#source ? runs : runs.sort((a, b) => startOf(b) - startOf(a));
  }

  /** The list of runs. */
  get list(): RunsMessage {
    const runs = this.runs.map(({ id, reader }) => ({ id, name: reader.name }));
    const folder = 'folder' in this.#source ? { folder: this.#source.folder } : {};
    return { type: 'runs', runs, left: this.#left, ...folder };
  }

  #follow(path: string, name: string): void {
    if (!this.#followed.has(path)) this.#followed.set(path, { id: this.#nextId++, reader: new RunReader(path, name) });
  }

  /**
   * Looks for new runs, and reads what has changed in all, at most a MB of each.
   *
   * @returns whether there is more to read at once.
   */
  async update(): Promise<boolean> {
    await this.#search();
    let more = false;
    for (const { reader } of this.#followed.values()) more = (await reader.update()) || more;
    return more;
  }

  async #search(): Promise<void> {
    if ('runs' in this.#source || performance.now() < this.#nextSearch) return;
    const begun = performance.now();
    const found = await runsIn(this.#source.folder).catch((error: unknown) => {
      // The folder may come back, as that of a share.
      if (error instanceof FileError) return undefined;
      throw error;
    });
    const now = performance.now();
    this.#nextSearch = now + Math.max(SEARCH_MS, (now - begun) / SEARCH_PART);
    if (!found) return;
    const paths = new Set(found.slice(0, MOST_RUNS).map(({ path }) => path));
    this.#left = found.length - paths.size;
    for (const path of this.#followed.keys()) if (!paths.has(path)) this.#followed.delete(path);
    for (const path of paths) this.#follow(path, basename(path));
  }
}

const startOf = ({ reader }: Followed): number => Date.parse(reader.summary?.started ?? '') || 0;
