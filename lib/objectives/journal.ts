/**
 * The journal of a black box: every answer, written before it is used. A run that is started again with it takes the answers from
 * there, in whatever order they came, and asks only for those that are missing.
 *
 * The first line has the options of the run, every further line an answer: `{"id":"3.c17+","loss":0.25}`. An evaluation has one line
 * that counts: `{"id":"3.c17+","givenUp":true}` stands for one that nobody waits for any more, and an answer that comes after this, or
 * after a failure, is `late`. Where a call ended because step 3 was refused, `{"refused":3}` follows: the failures of that step count
 * as no attempts, so that a run that goes on asks again, whatever was repaired meanwhile.
 *
 * @module
 */
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';

import { differences } from '../support/differences.js';
import { digest } from '../support/digest.js';
import { FileError } from '../support/errors.js';
import { lock, openToAppend, readFileBytes, readLines, withFileErrors } from '../support/files.js';
import { parseJson } from '../support/json.js';
import { isObject } from '../support/schema.js';
import { version } from '../support/version.js';
import type { Answer, Query } from './query.js';
import { checkedAnswer } from './query.js';

const FORMAT = 1;

/** An answer of an earlier run. */
export interface Entry {
  /** Undefined where the query was given up. */
  readonly answer: Answer | undefined;
  /** Whether a line before it counts the same evaluation. */
  readonly isLate: boolean;
  /** Whether it is a failure of a step that was refused. */
  isVoid: boolean;
  /** Of an answer at a base point: a digest of the point. */
  readonly at: string | undefined;
}

export class Journal {
  readonly #file: string;
  readonly #descriptor: number;
  readonly #entries: Map<string, Entry[]>;
  readonly #unlock: () => Promise<void>;
  /** Bytes of whole lines. */
  #bytes: number;
  /** Whether nothing stands behind them. */
  #isWhole = true;
  #isOpen = true;

  private constructor(file: string, descriptor: number, entries: Map<string, Entry[]>, unlock: () => Promise<void>) {
    this.#file = file;
    this.#descriptor = descriptor;
    this.#entries = entries;
    this.#unlock = unlock;
    this.#bytes = fstatSync(descriptor).size;
  }

  /**
   * Opens a journal, or begins one, and locks it until it is closed. One without an answer is begun anew, whatever its options. A last
   * line that was not written to its end is dropped: its query is asked for again.
   *
   * @param config The options that the answers depend on.
   * @throws FileError if the file is no journal, one of a run with other options, or in use.
   */
  static async open(file: string, config: object): Promise<Journal> {
    const handle = await openToAppend(file);
    let unlock: (() => Promise<void>) | undefined;
    try {
      unlock = await lock(file, await handle.stat({ bigint: true }));
      const { entries, lines, bytes } = await readEntries(file, config);
      const isBegun = lines > 1;
      await withFileErrors(file, handle.truncate(isBegun ? bytes : 0));
      const journal = new Journal(file, openSync(file, 'a'), entries, unlock);
      try {
        if (!isBegun) journal.#write({ format: FORMAT, deepzero: version, config });
      } catch (error) {
        journal.close();
        throw error;
      }
      return journal;
    } catch (error) {
      await unlock?.();
      throw error;
    } finally {
      await handle.close();
    }
  }

  /** The next answer of earlier runs, once. @throws FileError if the base point was another one. */
  take(query: Query): Readonly<Entry> | undefined {
    const entry = this.#entries.get(query.id)?.shift();
    if (entry && entry.at !== markOf(query)) {
      throw new FileError(
        this.#file,
        `is of a run that had another point at step ${query.step}: was the loss, the estimator or the length of the run changed?`,
      );
    }
    return entry;
  }

  /**
   * Appends an answer, or that there is none since the query was given up. The operating system has it when this returns.
   *
   * @param isLate Whether a line before it counts the same evaluation.
   * @throws FileError.
   */
  record(query: Query, answer: Answer | undefined, isLate = false): void {
    const at = markOf(query);
    const said = answer === undefined ? { givenUp: true } : typeof answer === 'number' ? { loss: answer } : answer;
    this.#write({ id: query.id, ...said, ...(isLate && { late: true }), ...(at && { at }) });
  }

  /** Notes that a step was refused for its failures, and the call ends, unless the journal is closed. @throws FileError. */
  refuse(step: number): void {
    if (this.#isOpen) this.#write({ refused: step });
  }

  #write(entry: object): void {
    const bytes = new TextEncoder().encode(`${JSON.stringify(entry)}\n`);
    if (!this.#isOpen) throw new FileError(this.#file, 'is closed');
    try {
      if (!this.#isWhole) ftruncateSync(this.#descriptor, this.#bytes);
      this.#isWhole = true;
      for (let done = 0; done < bytes.length;) done += writeSync(this.#descriptor, bytes, done);
      this.#bytes += bytes.length;
    } catch (error) {
      this.#isWhole = this.#cut();
      throw this.#failed(error);
    }
  }

  /** Drops the part of a line that was written, which must not stand before the next one. @returns whether it is gone. */
  #cut(): boolean {
    try {
      ftruncateSync(this.#descriptor, this.#bytes);
      return true;
    } catch {
      return false;
    }
  }

  #failed(error: unknown): FileError {
    return new FileError(this.#file, `could not be written: ${(error as Error).message}`, { cause: error });
  }

  /** Flushes to the disk what was appended, unless the journal is closed. @throws FileError. */
  sync(): void {
    if (!this.#isOpen) return;
    try {
      fdatasyncSync(this.#descriptor);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#descriptor);
    void this.#unlock();
  }
}

/** A query at a base point identifies the point. With the answers before, everything else of the step follows from it. */
function markOf({ id, base }: Query): string | undefined {
  return /\.b(\.\d+)?$/.test(id) ? digest(base) : undefined;
}

const noJournal = (file: string): FileError =>
  new FileError(file, 'expected the journal of a run, whose first line holds its options');

/** The answers in a journal, by their queries' ids, and how many lines and bytes were written to their end. */
async function readEntries(
  file: string,
  config: object,
): Promise<{ entries: Map<string, Entry[]>; lines: number; bytes: number }> {
  const entries = new Map<string, Entry[]>();
  const failures = new Map<string, Entry[]>();
  let header: Record<string, unknown> = {};
  let [lines, bytes] = [0, 0];
  await readLines(file, (line, end) => {
    const content = parseJson(line, file);
    if (lines === 0) header = headerOf(file, content);
    else if (lines === 1) checkConfig(file, header, config);
    if (lines > 0) add(entries, failures, readEntry(file, lines, content));
    lines += 1;
    bytes = end;
    return true;
  });
  if (lines === 0) await checkBegun(file);
  return { entries, lines, bytes };
}

/** Refuses a file without a line, which would be overwritten, unless it is a first line that was not written to its end. */
async function checkBegun(file: string): Promise<void> {
  const text = new TextDecoder().decode(await readFileBytes(file));
  const start = `{"format":${FORMAT},`;
  if (!text.startsWith(start) && !start.startsWith(text)) throw noJournal(file);
}

/** The options in the first line. */
function headerOf(file: string, content: unknown): Record<string, unknown> {
  if (isObject(content) && content['format'] === FORMAT && isObject(content['config'])) return content['config'];
  throw noJournal(file);
}

function checkConfig(file: string, written: object, config: object): void {
  const [found] = differences(written, JSON.parse(JSON.stringify(config)));
  if (!found) return;
  const { path, saved, given } = found;
  throw new FileError(file, `expected ${path} to be ${saved}, as in the run that wrote it, received ${given}`);
}

/** The number of a step that was refused, or an answer with its query's id. */
function readEntry(file: string, line: number, content: unknown): number | (Entry & { readonly id: string }) {
  const { refused, id, loss, at, givenUp, late, ...others } = Object(content) as Record<string, unknown>;
  if (typeof refused === 'number') return refused;
  try {
    const answer = givenUp === true ? undefined : checkedAnswer(loss ?? others);
    if (typeof id !== 'string') throw new TypeError('no id');
    return { id, answer, at: at as string | undefined, isLate: late === true, isVoid: false };
  } catch {
    throw new FileError(file, `expected line ${line + 1} to be an answer`);
  }
}

/** Adds to the answers by query, and to the failures by step. */
function add(entries: Map<string, Entry[]>, failures: Map<string, Entry[]>, read: ReturnType<typeof readEntry>): void {
  if (typeof read === 'number') {
    const step = String(read);
    for (const entry of failures.get(step) ?? []) entry.isVoid = true;
    failures.delete(step);
    return;
  }
  const { id, answer } = read;
  append(entries, id, read);
  if (typeof answer === 'object' && 'failed' in answer) append(failures, id.slice(0, id.indexOf('.')), read);
}

function append(lists: Map<string, Entry[]>, key: string, entry: Entry): void {
  const known = lists.get(key);
  if (known) known.push(entry);
  else lists.set(key, [entry]);
}
