/**
 * A command is a name, a table of options and a function from validated values to its JSON result.
 *
 * @module
 */
import type { Command as Commander } from 'commander';
import { Option as CommanderOption } from 'commander';

import { FileError, InvalidArgumentError, nearest, quote } from '../support/errors.js';
import type { OptionTable, Values } from './options.js';
import { checkRequirements, dashed, flag, helpOf, readOption, withDefaults } from './options.js';
import { Output, wrap } from './output.js';

export interface Context<T extends OptionTable> {
  /** Options that the command line names. */
  readonly given: Partial<Values<T>>;
  readonly operands: readonly string[];
  readonly output: Output;
  /** Aborts on Ctrl-C and the like. */
  readonly signal: AbortSignal;
}

interface Definition<T extends OptionTable> {
  /** The words that choose it: `train`, or `data info`. */
  readonly name: string;
  readonly summary: string;
  /** Names of the operands, all of them required. */
  readonly operands?: readonly string[];
  /** A paragraph at the end of `--help`. */
  readonly notes?: string;
  readonly options: T;
  /** Returns the object that `--json` prints. */
  run(values: Values<T>, context: Context<T>): Promise<object>;
}

export interface Command {
  /** Adds the command to those of a program, in the group that its first word names. */
  addTo(program: Commander, signal: AbortSignal): void;
}

const JSON_HELP =
  'print one JSON object as the last line of standard output, and everything else on standard error; after an error, no object but an exit code other than 0';

export function command<T extends OptionTable>({
  name,
  summary,
  operands = [],
  notes,
  ...more
}: Definition<T>): Command {
  const table: OptionTable = { ...more.options, json: flag(JSON_HELP) };
  const addTo = (program: Commander, signal: AbortSignal): void => {
    const [last = '', group] = name.split(' ').toReversed();
    const parent =
      group === undefined ? program : (program.commands.find((one) => one.name() === group) ?? program.command(group));
    const leaf = parent.command(last).description(summary);
    for (const operand of operands) leaf.argument(`<${operand}>`);
    for (const [key, one] of Object.entries(table)) {
      const flags = one.placeholder === undefined ? dashed(key) : `${dashed(key)} <${one.placeholder}>`;
      const added = new CommanderOption(flags, helpOf(one)).helpGroup(`${one.group ?? 'Options'}:`);
      if (one.placeholder !== undefined) added.argParser((written) => readOption(one, dashed(key), written));
      leaf.addOption(added);
    }
    if (notes !== undefined) leaf.addHelpText('after', `\n${wrap(notes)}`);
    // Refused in the action, by name and with what is near.
    leaf.allowUnknownOption().allowExcessArguments();
    leaf.action(async () => {
      const surplus = leaf.args.find((arg) => arg.startsWith('-')) ?? leaf.args[operands.length];
      if (surplus !== undefined) throw unexpected(surplus, table, `deepzero ${name} ${leaf.usage()}`);
      const given = leaf.opts<Partial<Values<T>>>();
      const values = withDefaults(table, given);
      checkRequirements(table, given, values);
      const output = new Output(values['json'] === true);
      try {
        // The table is the definition's and a flag, so its values are what the definition expects.
        output.result(await more.run(values as Values<T>, { given, operands: leaf.args, output, signal }));
      } catch (error) {
        // The library calls an option by its key, the command line by its name.
        const known = error instanceof InvalidArgumentError || error instanceof FileError;
        const { option: key = '' } = known ? error : {};
        throw known && Object.hasOwn(table, key) ? error.renamed(dashed(key)) : error;
      } finally {
        output.clearStatus();
      }
    });
  };
  return { addTo };
}

function unexpected(argument: string, table: OptionTable, usage: string): InvalidArgumentError {
  if (!argument.startsWith('-')) return new InvalidArgumentError(`Expected ${usage}: unexpected ${quote(argument)}`);
  const name = argument.replace(/=.*/s, '');
  if (Object.hasOwn(table, name.slice(2))) return new InvalidArgumentError(`${name} takes no value`);
  const word = name.replace(/^-+/, '');
  const known = Object.keys(table).map(dashed);
  const near = word.length > 1 ? nearest(`--${word}`, known) : '';
  return new InvalidArgumentError(`Unknown option ${quote(name)}${near || '; --help lists the options'}`);
}
