/**
 * `run.json` in a run's folder: its options, and where and when it was started and resumed.
 *
 * @module
 */
import { rename } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename } from 'node:path';

import * as v from 'valibot';

import { machine } from '../../native/machine.js';
import { rankCount } from '../../ranks/join.js';
import type { FileError } from '../../support/errors.js';
import { exists, readFileBytes, withFileErrors, writeFileAtomically } from '../../support/files.js';
import { parseJson } from '../../support/json.js';
import { integer, object, parseContent, string } from '../../support/schema.js';
import { version } from '../../support/version.js';

/** A start or a resumption, and its machine. */
export const runStart = v.object({
  /** ISO 8601. */
  time: string,
  /** Steps done before, >= 0. */
  step: integer(),
  host: string,
  /** The process, >= 0. */
  pid: integer(),
  processor: string,
  /** Of each rank, >= 1. */
  threads: integer(1),
  /** Processes that share the queries, >= 1. */
  ranks: integer(1),
  /** The instruction set. */
  isa: string,
  /** The version of Node. */
  node: string,
});

/** `run.json`. */
export const runAbout = v.object({
  /** Of deepzero, at the last start. */
  version: string,
  /** Every option that the results depend on. */
  config: object,
  starts: v.array(runStart),
});
export interface RunAbout extends v.InferOutput<typeof runAbout> {}

/**
 * Adds a start to `run.json`. One whose content is none is set aside, with a warning: no run goes on from it, but it may be repaired.
 *
 * @throws FileError if it cannot be read, or not be written.
 */
export async function recordStart(
  file: string,
  { config, step, threads }: { config: object; step: number; threads: number },
): Promise<void> {
  const bytes = (await exists(file)) ? await readFileBytes(file) : undefined;
  const before = bytes && (await parsed(file, bytes));
  const { processor, isa, node } = machine();
  const start = { time: new Date().toISOString(), step, host: hostname(), pid: process.pid };
  const starts = [...(before?.starts ?? []), { ...start, processor, threads, ranks: rankCount(), isa, node }];
  await writeFileAtomically(file, `${JSON.stringify({ version, config, starts }, undefined, 2)}\n`);
}

/** The content of `run.json`. A file that has another is renamed, never over another one. */
async function parsed(file: string, bytes: Uint8Array): Promise<RunAbout | undefined> {
  try {
    return parseAbout(file, bytes);
  } catch (error) {
    await setAside(file, error as FileError);
    return undefined;
  }
}

/** @throws FileError if it cannot be read, or its content is another. */
export async function readAbout(file: string): Promise<RunAbout> {
  return parseAbout(file, await readFileBytes(file));
}

function parseAbout(file: string, bytes: Uint8Array): RunAbout {
  return parseContent(runAbout, parseJson(new TextDecoder().decode(bytes), file), file);
}

async function setAside(file: string, { message }: FileError): Promise<void> {
  let broken = `${file}.broken`;
  for (let i = 2; await exists(broken); i++) broken = `${file}.broken-${i}`;
  await withFileErrors(file, rename(file, broken));
  process.emitWarning(`${message}; it is kept as ${basename(broken)}`, 'RunFolderWarning');
}
