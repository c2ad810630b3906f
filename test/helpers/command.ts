/**
 * Runs the `deepzero` command as a user does: in a process of its own.
 *
 * @module
 */
import assert from 'node:assert/strict';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { synthetic } from '../../lib/data/synthetic.js';
import { writeCifar10 } from '../../lib/data/cifar10.js';

const program = (main: string): readonly [string, ...string[]] => [
  process.execPath,
  ...['--import', import.meta.resolve('tsx'), fileURLToPath(new URL(`../../${main}`, import.meta.url))],
];

/** What starts the command: the program and its first arguments. */
export const COMMAND: readonly [string, ...string[]] = program('lib/cli/main.ts');

/** What starts the programs of the laboratory, by the first word. */
const LABORATORY: Readonly<Record<string, typeof COMMAND>> = {
  bench: program('bench/main.ts'),
  experiment: program('experiments/main.ts'),
};

/** A network of 90 parameters that a command can train in a moment. */
export const TINY: readonly string[] = ['--network', 'cnn', '--depth', '1', '--width', '2'];

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Settings {
  cwd?: string;
  env?: Record<string, string>;
}

export function start(args: readonly string[], { cwd, env }: Settings = {}): ChildProcessWithoutNullStreams {
  const laboratory = LABORATORY[args[0] ?? ''];
  const [program, ...first] = laboratory ?? COMMAND;
  return spawn(program, [...first, ...(laboratory ? args.slice(1) : args)], {
    cwd,
    env: { ...process.env, npm_lifecycle_event: '', ...env },
  });
}

export async function outcomeOf(child: ChildProcessWithoutNullStreams): Promise<Outcome> {
  const outcome: Outcome = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (outcome.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (outcome.stderr += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve({ ...outcome, code });
    });
  });
}

export async function deepzero(args: readonly string[], settings?: Settings): Promise<Outcome> {
  return outcomeOf(start(args, settings));
}

/** The object that a command with `--json` prints as the last line of standard output. */
export async function json(args: readonly string[], settings?: Settings): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await deepzero([...args, '--json'], settings);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

/** Asserts that a command fails with one line on standard error that matches, and prints no result. */
export async function fails(
  args: readonly string[],
  code: number,
  message: RegExp,
  settings?: Settings,
): Promise<void> {
  const outcome = await deepzero([...args, '--json'], settings);
  const lines = outcome.stderr.trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  assert.match(last, message);
  assert.ok(last.startsWith('deepzero: '), last);
  assert.doesNotMatch(outcome.stderr, /^\s+at /m, 'a stack trace');
  assert.equal(outcome.code, code, last);
  assert.equal(outcome.stdout, '');
}

/** Writes 60 training and 20 test images of the generated set, and returns their folder. */
export async function writeImages(folder: string): Promise<string> {
  const path = join(folder, 'images');
  await writeCifar10(path, synthetic({ train: 60, test: 20 }));
  return path;
}
