/**
 * A program of several commands: finds the command, turns errors into one line and an exit code, and signals into an
 * AbortSignal. Exit codes: 0 done, 1 failed, 2 bad usage, 128 + n stopped by signal n (130 for Ctrl-C).
 *
 * @module
 */
import { didYouMean, InvalidArgumentError } from '../../support/check.js';
import { version } from '../../support/version.js';
import type { Command } from './command.js';

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15, SIGPIPE: 13 } as const;
const HELP = ['--help', '-h'];
const VERSION = ['--version', '-v'];

/** Why the AbortSignal was aborted; what was stopped by it rejects with this very object. */
class Interruption extends Error {
  override readonly name = 'AbortError';
}

/** A signal may come twice for one wish: `timeout -s INT` sends it to its child and to the group that the child is in. */
const SAME_WISH_MS = 1000;

/** What the words of a command line choose from. */
export interface Program {
  /** What is typed before a command: `deepzero`. */
  readonly call: string;
  readonly about: string;
  readonly commands: readonly Command[];
}

async function main(program: Program, args: readonly string[], signal: AbortSignal): Promise<void> {
  const { call, commands } = program;
  const [first, ...rest] = args;
  const [second] = rest;
  if (first !== undefined && VERSION.includes(first)) {
    process.stdout.write(`${version}\n`);
    return;
  }
  if (first === 'help' && rest.length > 0) {
    await main(program, [...rest, '--help'], signal);
    return;
  }
  if (first === undefined || HELP.includes(first) || first === 'help') {
    (first === undefined ? process.stderr : process.stdout).write(`${overview(program)}\n`);
    if (first === undefined) process.exitCode = 2;
    return;
  }
  const group = commands.filter(({ name }) => wordsOf(name)[0] === first);
  const chosen = group.find(({ name }) => name === args.slice(0, wordsOf(name).length).join(' '));
  if (chosen) {
    await chosen.run(call, args.slice(wordsOf(chosen.name).length), signal);
  } else if (group.length === 0) {
    throw unknown([first], commands);
  } else if (second !== undefined && !second.startsWith('-')) {
    throw unknown([first, second], group);
  } else if (rest.some((arg) => HELP.includes(arg))) {
    process.stdout.write(`${group.map((command) => command.help(call)).join('\n\n')}\n`);
  } else {
    throw new InvalidArgumentError(`Expected ${group.map(({ name }) => `${call} ${name}`).join(' or ')}`);
  }
}

const wordsOf = (name: string): string[] => name.split(' ');

/** Words of which the last is none that these commands have there. */
function unknown(words: readonly string[], commands: readonly Command[]): InvalidArgumentError {
  const last = words.length - 1;
  const known = new Set(commands.map(({ name }) => wordsOf(name)[last]!));
  return new InvalidArgumentError(`Unknown command "${words.join(' ')}"${didYouMean(words[last]!, [...known])}`);
}

function overview({ call, about, commands }: Program): string {
  const width = Math.max(...commands.map(({ name }) => name.length)) + 2;
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}`);
  return [
    `Usage: ${call} COMMAND [options]`,
    about,
    `Commands:\n${rows.join('\n')}`,
    `${call} COMMAND --help, or ${call} help COMMAND, lists its options, ${call} --version says the version.\n` +
      "In the environment, DEEPZERO_DEBUG=1 adds stack traces to errors, and DEEPZERO_ISA chooses among info's instruction sets.",
  ].join('\n\n');
}

/**
 * A first signal asks the command to save and stop, one that comes later than an echo of it ends the process at once. Output
 * that cannot be written asks the same: nobody reads it any more, or the disk is full.
 */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  let stoppedAt = Infinity;
  const stop = (exitCode: number, why: string): void => {
    stoppedAt = performance.now();
    process.exitCode = exitCode;
    controller.abort(new Interruption(why));
  };
  const onSignal = (name: keyof typeof SIGNALS): void => {
    if (!controller.signal.aborted) stop(128 + SIGNALS[name], name);
    else if (performance.now() - stoppedAt > SAME_WISH_MS) process.exit(128 + SIGNALS[name]);
  };
  process.on('SIGHUP', onSignal);
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  for (const [stream, name] of [
    [process.stdout, 'standard output'],
    [process.stderr, 'standard error'],
  ] as const) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (controller.signal.aborted) return;
      if (error.code === 'EPIPE') {
        stop(128 + SIGNALS.SIGPIPE, 'SIGPIPE');
      } else {
        stop(1, error.message);
        process.stderr.write(`deepzero: ${name}: ${error.message}\n`);
      }
    });
  }
  return controller.signal;
}

/** Runs what the process's arguments ask for, and sets its exit code. */
export async function run(program: Program): Promise<void> {
  const signal = listenForSignals();
  try {
    await main(program, process.argv.slice(2), signal);
  } catch (error) {
    if (!(error instanceof Interruption)) {
      const message = error instanceof Error ? error.message : String(error);
      process.stderr.write(`deepzero: ${message.replace(/\s*\n\s*/g, ' ')}\n`);
      process.exitCode = error instanceof InvalidArgumentError ? 2 : 1;
    }
    if (process.env['DEEPZERO_DEBUG'] === '1') console.error(error);
  }
}
