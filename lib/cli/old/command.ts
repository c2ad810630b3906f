/**
 * What a command is made of: a name, an option table and a function from validated values to its JSON result.
 *
 * @module
 */
import { InvalidArgumentError } from '../../support/check.js';
import { checkBelonging, dashed, flag, optionsHelp, parse, WIDTH, withDefaults, wrap } from './options.js';
import type { Given, OptionTable, Values } from './options.js';
import { Output } from '../output.js';

export interface Command {
  /** The words that choose it: `train`, or `data info`. */
  readonly name: string;
  readonly summary: string;
  /** @param call What is typed before the name: `deepzero`. */
  help(call: string): string;
  run(call: string, args: readonly string[], signal: AbortSignal): Promise<void>;
}

export interface Context<T extends OptionTable> extends Given<T> {
  readonly output: Output;
  /** Aborts on Ctrl-C and its like. */
  readonly signal: AbortSignal;
}

interface Definition<T extends OptionTable> {
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

const COMMON = {
  json: flag(
    'print one JSON object as the last line of standard output, and all else on standard error; after an error none, but an exit code other than 0',
  ),
  help: { ...flag('print this help'), short: 'h' },
};

export function command<T extends OptionTable>(definition: Definition<T>): Command {
  const { name, summary, operands: expectedOperands = [], notes } = definition;
  const table: OptionTable = { ...definition.options, ...COMMON };
  const usage = (call: string): string => [call, name, ...expectedOperands, '[options]'].join(' ');
  const help = (call: string): string => {
    const paragraphs = [`Usage: ${usage(call)}`, summary, `Options:\n${optionsHelp(table)}`];
    if (notes !== undefined) paragraphs.push(wrap(notes, WIDTH).join('\n'));
    return paragraphs.join('\n\n');
  };
  return {
    name,
    summary,
    help,
    async run(call, args, signal) {
      const given = parse(table, args);
      if (given.options['help'] === true) {
        process.stdout.write(`${help(call)}\n`);
        return;
      }
      checkOperands(given.operands, expectedOperands, usage(call));
      const values = withDefaults(table, given.options);
      checkBelonging(table, given.options, values);
      const output = new Output(values['json'] === true);
      try {
        // The table is the definition's and two flags, so its values are what the definition expects.
        const result = await definition.run(values as Values<T>, { ...(given as Given<T>), output, signal });
        output.result(result);
      } catch (error) {
        throw inCommandsWords(error, table);
      } finally {
        output.clearStatus();
      }
    },
  };
}

/** The library calls an option by its key, `batchSize`: a message about it says what is written, `--batch-size`. */
function inCommandsWords(error: unknown, table: OptionTable): unknown {
  if (!(error instanceof InvalidArgumentError)) return error;
  const [expected, key = ''] = /^Expected (\w+) to be /.exec(error.message) ?? [];
  if (expected === undefined || !Object.hasOwn(table, key)) return error;
  const rest = error.message.slice(expected.length);
  return new InvalidArgumentError(`Expected ${dashed(key)} to be ${rest}`, { cause: error });
}

function checkOperands(operands: readonly string[], expected: readonly string[], usage: string): void {
  if (operands.length === expected.length) return;
  const surplus = operands[expected.length];
  const problem =
    surplus === undefined ? `${expected.at(-1) ?? ''} is missing` : `unexpected ${JSON.stringify(surplus)}`;
  throw new InvalidArgumentError(`Expected ${usage}: ${problem}`);
}
