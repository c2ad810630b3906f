#!/usr/bin/env node
/**
 * The `deepzero` command: finds the sub-command, turns errors into one line and an exit code, and signals into an
 * AbortSignal. Exit codes: 0 done, 1 failed, 2 bad usage, 128 + n stopped by signal n (130 for Ctrl-C).
 *
 * @module
 */
import { didYouMean, InvalidArgumentError } from '../check.js';
import { version } from '../version.js';
import type { Command } from './command.js';
import { commands } from './commands.js';

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15, SIGPIPE: 13 } as const;
const HELP = ['--help', '-h'];

/** Why the AbortSignal was aborted; what was stopped by it rejects with this very object. */
class Interruption extends Error {
  override readonly name = 'AbortError';
  readonly exitCode: number;

  constructor(signal: keyof typeof SIGNALS) {
    super(`stopped by ${signal}`);
    this.exitCode = 128 + SIGNALS[signal];
  }
}

async function main(args: readonly string[], signal: AbortSignal): Promise<void> {
  const [first, ...rest] = args;
  if (first === '--version') {
    process.stdout.write(`${version}\n`);
    return;
  }
  if (first === undefined || HELP.includes(first) || first === 'help') {
    (first === undefined ? process.stderr : process.stdout).write(`${overview(commands)}\n`);
    if (first === undefined) process.exitCode = 2;
    return;
  }
  const group = commands.filter(({ name }) => name.split(' ')[0] === first);
  const chosen = group.find(({ name }) => name === args.slice(0, name.split(' ').length).join(' '));
  if (chosen) {
    await chosen.run(args.slice(chosen.name.split(' ').length), signal);
  } else if (group.length > 0 && rest.some((arg) => HELP.includes(arg))) {
    process.stdout.write(`${group.map((command) => command.help()).join('\n\n')}\n`);
  } else if (group.length > 0) {
    throw new InvalidArgumentError(`Expected ${group.map(({ name }) => `deepzero ${name}`).join(' or ')}`);
  } else {
    const known = [...new Set(commands.map(({ name }) => name.split(' ')[0] ?? name))];
    throw new InvalidArgumentError(`Unknown command ${JSON.stringify(first)}${didYouMean(first, known)}`);
  }
}

function overview(commands: readonly Command[]): string {
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(16)}${summary}`);
  return [
    'Usage: deepzero COMMAND [options]',
    'Trains neural networks by zeroth-order optimisation: from forward passes alone, without back-propagation.',
    `Commands:\n${rows.join('\n')}`,
    'deepzero COMMAND --help lists the options of a command. DEEPZERO_DEBUG=1 adds stack traces to errors.',
  ].join('\n\n');
}

/** A first signal asks the command to save and stop, a second one ends the process at once. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  const stop = (name: keyof typeof SIGNALS): void => {
    const interruption = new Interruption(name);
    if (controller.signal.aborted) process.exit(interruption.exitCode);
    controller.abort(interruption);
  };
  process.on('SIGHUP', stop);
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (!controller.signal.aborted) stop('SIGPIPE');
    });
  }
  return controller.signal;
}

const signal = listenForSignals();
try {
  await main(process.argv.slice(2), signal);
} catch (error) {
  if (error instanceof Interruption) {
    process.exitCode = error.exitCode;
  } else {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`deepzero: ${message.replace(/\s*\n\s*/g, ' ')}\n`);
    process.exitCode = error instanceof InvalidArgumentError ? 2 : 1;
  }
  if (process.env['DEEPZERO_DEBUG'] === '1') console.error(error);
}
