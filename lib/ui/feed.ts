/**
 * The runs that are shown: those that were named, or all in a folder, where new ones appear.
 *
 * @module
 */
import { basename } from 'node:path';

import { findRuns } from '../runs/find.js';
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
  readonly name: string;
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
    const names = distinctNames(source.runs);
    source.runs.forEach((path, i) => {
      this.#follow(path, names[i]!);
    });
  }

  get runs(): readonly Followed[] {
    return [...this.#followed.values()];
  }

  /** The list of runs. */
  get list(): RunsMessage {
    const runs = this.runs.map(({ id, name }) => ({ id, name }));
    const folder = 'folder' in this.#source ? { folder: this.#source.folder } : {};
    return { type: 'runs', runs, left: this.#left, ...folder };
  }

  #follow(path: string, name: string): void {
    if (!this.#followed.has(path)) this.#followed.set(path, { id: this.#nextId++, name, reader: new RunReader(path) });
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
    const found = await findRuns(this.#source.folder).catch((error: unknown) => {
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

/** The last parts of paths, as many as tell them apart. */
function distinctNames(paths: readonly string[]): string[] {
  const parts = paths.map((path) => path.split('/').filter((part) => part !== '' && part !== '.'));
  return parts.map((own, i) => {
    for (let count = 1; count < own.length; count++) {
      const name = own.slice(-count).join('/');
      const isDistinct = parts.every((other, j) => j === i || other.slice(-count).join('/') !== name);
      if (isDistinct) return name;
    }
    return own.join('/') || paths[i]!;
  });
}
