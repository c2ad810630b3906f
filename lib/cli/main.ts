#!/usr/bin/env node
/**
 * The `deepzero` command: finds the command that the words choose, prints an error as one line, sets the exit code, and
 * makes an AbortSignal of the signals that ask to stop.
 *
 * @module
 */
import { Command as Commander, CommanderError } from 'commander';

import '../ranks/join.js';
import { didYouMean, escaped, InvalidArgumentError, quote } from '../support/errors.js';
import { version } from '../support/version.js';
import { dataInfo, dataSynthetic } from './data.js';
import { evaluate } from './eval.js';
import { gradcheck } from './gradcheck.js';
import { info } from './info.js';
import { WIDTH, wrap } from './output.js';
import { prune } from './prune.js';
import { runs } from './runs/runs.js';
import { train } from './train/train.js';
import { report as reportRuns } from './watch/report.js';
import { ui } from './watch/ui.js';

const COMMANDS = [train, runs, ui, reportRuns, prune, evaluate, gradcheck, dataSynthetic, dataInfo, info];

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGPIPE: 13, SIGTERM: 15 } as const;

/** Why the AbortSignal was aborted; what it stops rejects with this very object. */
class Interruption extends Error {
  override readonly name = 'AbortError';
}

/** A signal may come twice for one wish: `timeout -s INT` sends it to its child and to the group that the child is in. */
const SAME_WISH_MS = 1000;

/** The longest message, in characters. */
const MOST_MESSAGE = 1000;

function makeProgram(signal: AbortSignal): Commander {
  const program = new Commander('deepzero')
    .usage('COMMAND [options]')
    .description(
      'Trains neural networks by zeroth-order optimisation: from forward passes alone, without back-propagation.',
    )
    .version(version, '-v, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    // An option's value, as in `train --out -v`, is none of the program's options.
    .enablePositionalOptions()
    .exitOverride()
    // Errors are printed in one place, below.
    .configureOutput({ outputError: () => undefined })
    .configureHelp({
      helpWidth: WIDTH,
      visibleCommands: ({ commands }) => commands.flatMap((one) => (one.commands.length > 0 ? one.commands : [one])),
      subcommandTerm: (one) => wordsOf(one).slice(1).join(' '),
    });
  for (const command of COMMANDS) command.addTo(program, signal);
  const after = [
    'deepzero COMMAND --help, or deepzero help COMMAND, lists the options of a command.',
    'Exit codes: 0 done, 1 failed, 2 wrong usage, 128 + n stopped by signal n (130 by Ctrl-C).',
    "Environment: DEEPZERO_DEBUG=1 adds stack traces to errors, DEEPZERO_ISA chooses one of info's instruction sets.",
  ];
  return program.addHelpText('after', `\n${after.map(wrap).join('\n')}`);
}

/** The words that choose a command, from `deepzero` on. */
function wordsOf(command: Commander): string[] {
  return [...(command.parent ? wordsOf(command.parent) : []), command.name()];
}

/** Refuses words that choose no command, also where they ask for help. */
function checkWords(program: Commander, args: readonly string[]): void {
  const [first = ''] = args;
  if (first.startsWith('-') && !['-h', '--help', '-v', '--version'].includes(first)) {
    throw new InvalidArgumentError(`Expected deepzero COMMAND [options]: ${quote(first)} stands before the command`);
  }
  let at = program;
  for (const [i, word] of args.entries()) {
    if (word.startsWith('-') || at.commands.length === 0) break;
    const next = at.commands.find((one) => one.name() === word);
    if (!next) {
      const near = didYouMean(
        word,
        at.commands.map((one) => one.name()),
      );
      throw new InvalidArgumentError(`Unknown command ${quote(args.slice(0, i + 1).join(' '))}${near}`);
    }
    at = next;
  }
  if (at === program || at.commands.length === 0 || args.includes('--help') || args.includes('-h')) return;
  throw new InvalidArgumentError(`Expected ${at.commands.map((one) => wordsOf(one).join(' ')).join(' or ')}`);
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

/** Prints an error and returns the exit code. */
function report(error: unknown): number {
  // Options take the next argument, whatever it is: one without a value is the last.
  if (error instanceof CommanderError && error.code === 'commander.optionMissingArgument') {
    return report(new InvalidArgumentError(`Expected a value after ${quote(process.argv.at(-1) ?? '')}`));
  }
  const usage = error instanceof CommanderError;
  // Help that was asked for ends the same way, with 0, and help in place of a missing command with 1.
  if (usage && error.code.includes('help')) return error.exitCode === 0 ? 0 : 2;
  if (usage && error.exitCode === 0) return 0;
  const text = (error instanceof Error ? error.message : String(error)).replace(/^error: /, '');
  const line = escaped(text.replace(/\s*\n\s*/g, ' '));
  const short = line.length <= MOST_MESSAGE ? line : `${line.slice(0, MOST_MESSAGE - 200)} … ${line.slice(-190)}`;
  process.stderr.write(`deepzero: ${short}\n`);
  return usage || error instanceof InvalidArgumentError ? 2 : 1;
}

const signal = listenForSignals();
try {
  const words = process.argv.slice(2);
  const args = words[0] === 'help' ? [...words.slice(1), '--help'] : words;
  const program = makeProgram(signal);
  checkWords(program, args);
  await program.parseAsync(args, { from: 'user' });
} catch (error) {
  if (!(error instanceof Interruption)) process.exitCode = report(error);
  if (process.env['DEEPZERO_DEBUG'] === '1') console.error(error);
}
