/**
 * The end of a run's log, and single steps of it, without reading the rest.
 *
 * @module
 */
import type { InputFile } from '../support/files.js';
import type { LogEntry } from './entries.js';
import { parseEntry } from './entries.js';
import type { TestResult } from './types.js';

const NEWLINE = 0x0a;
/** Bytes that are read at a time. */
const CHUNK_BYTES = 2 ** 18;
/** A longer line is none of a log. */
const MOST_LINE_BYTES = 2 ** 24;

/** The whole lines before a position, the last one first; a text behind the last newline is left out. */
export async function* linesBackward(input: InputFile, end = input.size): AsyncGenerator<Buffer> {
  /** Bytes from `begin` on that are not returned yet. */
  let rest = Buffer.alloc(0);
  let isWhole = false;
  for (let begin = end; begin > 0 && rest.length < MOST_LINE_BYTES;) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, begin));
    begin -= chunk.length;
    await input.read(chunk, begin);
    rest = Buffer.concat([chunk, rest]);
    for (let at = rest.lastIndexOf(NEWLINE); at >= 0; at = rest.lastIndexOf(NEWLINE)) {
      if (isWhole) yield rest.subarray(at + 1);
      isWhole = true;
      rest = rest.subarray(0, at);
    }
  }
  if (isWhole && rest.length > 0 && rest.length < MOST_LINE_BYTES) yield rest;
}

const entryOf = (line: Buffer): LogEntry | undefined => parseEntry(line.toString());

/** The last steps of a log that are whole, in their order, and how many lines among them are none. */
export async function lastSteps(
  input: InputFile,
  count: number,
  end?: number,
): Promise<{ steps: LogEntry[]; broken: number }> {
  const steps: LogEntry[] = [];
  let broken = 0;
  for await (const line of linesBackward(input, end)) {
    const entry = entryOf(line);
    const next = steps[0];
    if (entry && (!next || entry.step < next.step)) steps.unshift(entry);
    else if (line.length > 0) broken++;
    if (steps.length === count || broken > count) break;
  }
  return { steps, broken };
}

const TEST = '"test":{';

/** The last step with a test. */
export async function lastTested(input: InputFile): Promise<LogEntry | undefined> {
  for await (const line of linesBackward(input)) {
    const entry = line.includes(TEST) ? entryOf(line) : undefined;
    if (entry && testOf(entry)) return entry;
  }
  return undefined;
}

/** The test of a step; undefined if it has none. */
export function testOf({ step, values }: LogEntry): TestResult | undefined {
  const { testLoss, testAccuracy } = values;
  if (testLoss === undefined && testAccuracy === undefined) return undefined;
  return { step, loss: testLoss ?? null, accuracy: testAccuracy ?? null };
}

/** The position behind a step's line, found by bisection as steps increase; undefined where there is no such step. */
export async function endOfStep(input: InputFile, step: number): Promise<number | undefined> {
  // The line begins from `low` on and before `high`; both are starts of lines.
  let [low, high] = [0, input.size];
  while (low < high) {
    const found = await lineFrom(input, Math.floor((low + high) / 2), low);
    if (!found) return undefined;
    const here = entryOf(found.line)?.step;
    if (here === undefined) return undefined;
    if (here === step) return found.end;
    if (here < step) low = found.end;
    else high = found.begin;
  }
  return undefined;
}

interface Line {
  readonly line: Buffer;
  readonly begin: number;
  /** Behind its newline. */
  readonly end: number;
}

/** The line that a position is in, which begins at `low` at the earliest. */
async function lineFrom(input: InputFile, position: number, low: number): Promise<Line | undefined> {
  for (let reach = 4096; reach <= MOST_LINE_BYTES; reach *= 4) {
    const from = Math.max(low, position - reach);
    const bytes = Buffer.alloc(Math.min(input.size, position + reach) - from);
    await input.read(bytes, from);
    const before = position === from ? -1 : bytes.lastIndexOf(NEWLINE, position - from - 1);
    const after = bytes.indexOf(NEWLINE, position - from);
    const isBegun = before >= 0 || from === low;
    if (isBegun && after >= 0) {
      return { line: bytes.subarray(before + 1, after), begin: from + before + 1, end: from + after + 1 };
    }
    if (isBegun && position + reach >= input.size) return undefined;
  }
  return undefined;
}
