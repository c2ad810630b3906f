/**
 * A program of several tasks, on commander: errors become one line and an exit code, signals an AbortSignal. Exit codes:
 * 0 done, 1 failed, 2 wrong usage, 128 + n stopped by signal n.
 *
 * @module
 */
import { Command, CommanderError, Option as CommanderOption } from 'commander';
import { InvalidArgumentError } from 'deepzero';

import type { Option, Options, Values } from './options.js';
import { dashed, expected, flag } from './options.js';
import { Output } from './output.js';

export interface TaskContext<O extends Options> {
  /** The values on the command line, without defaults. */
  readonly given: Partial<Values<O>>;
  readonly output: Output;
  /** Aborts on Ctrl-C and its like. */
  readonly signal: AbortSignal;
}

/** A function from validated values to its JSON result. */
export interface Task<O extends Options = Options> {
  readonly name: string;
  readonly summary: string;
  /** A paragraph at the end of `--help`. */
  readonly notes: string;
  readonly options: O;
  readonly run: (values: Values<O>, context: TaskContext<O>) => Promise<object>;
}

/** Infers the types of a task's values. */
export function task<const O extends Options>(definition: Task<O>): Task {
  return definition as unknown as Task;
}

interface Program {
  /** What is typed before a task: `npm run bench --`. */
  readonly call: string;
  readonly about: string;
  readonly tasks: readonly Task[];
  /** The task that runs without a name. */
  readonly fallback?: string;
}

const JSON_FLAG = flag('print one JSON object on standard output, and everything else on standard error');

/** Why the AbortSignal was aborted; what it stops rejects with this object. */
class Interruption extends Error {
  override readonly name = 'AbortError';
}

const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
/** A signal may arrive twice for one Ctrl-C: from the terminal and from the parent that relays it. */
const RELAY_MS = 1000;

/** The first signal asks to save and stop; a later one ends the process at once. */
function listenForSignals(): AbortSignal {
  const controller = new AbortController();
  let stoppedAt = Infinity;
  const onSignal = (name: keyof typeof SIGNALS): void => {
    const code = 128 + SIGNALS[name];
    if (controller.signal.aborted) {
      if (performance.now() - stoppedAt > RELAY_MS) process.exit(code);
      return;
    }
    stoppedAt = performance.now();
    process.exitCode = code;
    controller.abort(new Interruption(name));
  };
  for (const name of Object.keys(SIGNALS) as (keyof typeof SIGNALS)[]) process.on(name, onSignal);
  return controller.signal;
}

/** Runs the task that the process's arguments name, and sets the exit code. */
export async function run({ call, about, tasks, fallback }: Program): Promise<void> {
  const signal = listenForSignals();
  const program = new Command(call).description(about).exitOverride();
  program.configureOutput({ outputError: () => undefined });
  for (const one of tasks) addTask(program, one, signal);
  const args = process.argv.slice(2);
  const [first = '--'] = args;
  if (fallback !== undefined && first.startsWith('-') && !['-h', '--help'].includes(first)) args.unshift(fallback);
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof Interruption) return;
    if (error instanceof CommanderError) {
      if (error.code === 'commander.helpDisplayed') return;
      process.exitCode = 2;
      if (error.code === 'commander.help') return;
    } else {
      process.exitCode = error instanceof InvalidArgumentError ? 2 : 1;
    }
    const message = error instanceof Error ? error.message.replace(/^error: /, '') : String(error);
    process.stderr.write(`deepzero: ${message.replace(/\s*\n\s*/g, ' ')}\n`);
    if (process.env['DEEPZERO_DEBUG'] === '1') console.error(error);
  }
}

function addTask(program: Command, { name, summary, notes, options, run: perform }: Task, signal: AbortSignal): void {
  const command = program.command(name).description(summary).addHelpText('after', `\n${notes}`);
  for (const [key, option] of Object.entries(options)) command.addOption(commanderOption(key, option));
  command.addOption(commanderOption('json', JSON_FLAG));
  command.action(async ({ json, ...given }: Record<string, unknown>) => {
    const output = new Output(json === true);
    const defaults = Object.fromEntries(Object.entries(options).map(([key, option]) => [key, option.default]));
    try {
      output.result(await perform({ ...defaults, ...given }, { given, output, signal }));
    } catch (error) {
      const { option = '' } = error instanceof InvalidArgumentError ? error : {};
      throw Object.hasOwn(options, option) ? (error as InvalidArgumentError).renamed(dashed(option)) : error;
    } finally {
      output.clearStatus();
    }
  });
}

/** A value as it is written on a command line. */
function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value).replace(/[\]["]/g, '');
}

function commanderOption(key: string, option: Option<unknown>): CommanderOption {
  const name = dashed(key);
  const { placeholder, help, default: standard, repeatable } = option;
  const remark = standard === undefined || standard === false ? '' : ` (default: ${plain(standard)})`;
  const made = new CommanderOption(placeholder === undefined ? name : `${name} <${placeholder}>`, help + remark);
  if (placeholder === undefined) return made;
  return made.argParser((text, previous: unknown) => {
    const value = option.parse(text, name);
    if (!repeatable) return value;
    const all = [...((previous ?? []) as unknown[]), ...(value as unknown[])];
    const again = all.find((one, i) => all.indexOf(one) < i);
    if (again !== undefined) throw expected(name, 'each value once', `${plain(again)} twice`);
    return all;
  });
}
