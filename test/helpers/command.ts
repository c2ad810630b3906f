/**
 * Runs the `deepzero` command, and the programs of `bench/` and `experiments/`, as a user does: in child processes.
 *
 * @module
 */
import assert from 'node:assert/strict';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { root } from '../../scripts/run.js';
import { synthetic } from '../../lib/data/synthetic.js';
import { writeCifar10 } from '../../lib/data/cifar10.js';
import { HANG_MS } from './hang.js';

/**
 * The programs are bundled once: a child process then starts four times as fast as through the loader of TypeScript. The
 * bundles lie as deep below the package's folder as lib/native/, which looks for the addon from there.
 */
const BUNDLES = join(root, 'build/test');

buildSync({
  entryPoints: {
    deepzero: join(root, 'lib/cli/main.ts'),
    bench: join(root, 'bench/main.ts'),
    experiment: join(root, 'experiments/main.ts'),
    'memory-child': join(root, 'bench/memory-child.ts'),
    'episode-worker': join(root, 'experiments/support/episode-worker.ts'),
    'stop-after': join(root, 'test/helpers/stop-after.ts'),
    'ranks-program': join(root, 'test/helpers/ranks-program.ts'),
  },
  outdir: BUNDLES,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
});

/** The program and the first arguments that start the command. */
export const COMMAND: readonly [string, ...string[]] = [process.execPath, join(BUNDLES, 'deepzero.js')];

/** ranks-program.ts. */
export const RANKS_PROGRAM = join(BUNDLES, 'ranks-program.js');

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

/** Starts the command, or another program if the first argument is its name. */
export function start(args: readonly string[], { cwd, env }: Settings = {}): ChildProcessWithoutNullStreams {
  const [name = '', ...rest] = args;
  const other = ['bench', 'experiment'].includes(name);
  const [file, more] = other ? [join(BUNDLES, `${name}.js`), rest] : [COMMAND[1]!, args];
  const settings = { cwd, env: { ...process.env, npm_lifecycle_event: '', ...env }, timeout: HANG_MS };
  return spawn(process.execPath, [file, ...more], settings);
}

/** Runs it as `deepzero` does until its training logs have that many more lines, where a signal reaches it. */
export async function stoppedAfter(
  lines: number,
  signal: NodeJS.Signals,
  args: readonly string[],
  env = {},
): Promise<Outcome> {
  const stop = {
    STOP_AFTER: String(lines),
    STOP_BY: signal,
    NODE_OPTIONS: `--import=${join(BUNDLES, 'stop-after.js')}`,
  };
  return deepzero(args, { env: { ...env, ...stop } });
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
