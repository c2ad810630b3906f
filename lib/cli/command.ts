/**
 * A command is a name, a table of options and a function from validated values to its JSON result. A schema says what an
 * option's values are, their default and their constraint; the table adds the help, a placeholder and the options that it
 * requires. The key `batchSize` is written `--batch-size`.
 *
 * @module
 */
import type { Command as Commander } from 'commander';
import { Option as CommanderOption } from 'commander';
import * as v from 'valibot';

import { UNITS } from '../native/memory.js';
import { FileError, InvalidArgumentError, nearest, quote } from '../support/errors.js';
import type { Form } from '../support/schema.js';
import { boolean, checked, factsOf, leaf } from '../support/schema.js';
import { Output, wrap } from './output.js';

type Schema<T = unknown> = v.GenericSchema<unknown, T>;

/** One option; it is required unless its schema is a `v.optional`. */
export interface Option<T = unknown> {
  readonly schema: Schema<T>;
  readonly help: string;
  /** In the help, behind the name; undefined of a flag. */
  readonly placeholder: string | undefined;
  /** The value that a text stands for, or the text itself where it stands for none. */
  readonly read: (text: string) => unknown;
  /** Replaces the default on the embedded data set, so that a first run ends within minutes. */
  readonly demo?: T;
  /** In the help, a default that depends on other options. */
  readonly otherwise?: string;
  readonly requires?: Requirement;
  /** A heading in the help. */
  readonly group?: string;
}

/** Another option, and its values with which this one has a meaning. */
interface Requirement {
  readonly option: string;
  readonly values: readonly string[];
}

type OptionTable = Readonly<Record<string, Option>>;
/** The table that yields such values, and the values that a table yields. */
export type OptionsOf<V> = { readonly [K in keyof V]: Option<V[K]> };
type Values<T extends OptionTable> = { [K in keyof T]: T[K] extends Option<infer V> ? V : never };

const PLACEHOLDERS: Readonly<Record<Form, string | undefined>> = {
  ...{ number: 'N', boolean: undefined, string: 'TEXT', choice: 'NAME', other: 'VALUE' },
};

/** An option whose help is the schema's description, unless `more` has one. */
export function option<T>(schema: Schema<T>, more: Partial<Omit<Option<T>, 'schema'>> = {}): Option<T> {
  const { form, description = '' } = factsOf(schema);
  return {
    schema,
    help: description,
    placeholder: PLACEHOLDERS[form],
    read: form === 'number' ? number : text,
    ...more,
  };
}

const text = (written: string): string => written;

function number(written: string): number | string {
  const value = written.trim() === '' ? NaN : Number(written);
  return Number.isNaN(value) ? written : value;
}

export function flag(help: string): Option<boolean> {
  return option(v.optional(boolean, false), { help });
}

/** A size in bytes: a number > 0 and a unit, upper or lower case; bytes without one. */
export function size(help: string, otherwise: string): Option<number | undefined> {
  const constraint = `a number > 0 of ${Object.keys(UNITS).join(', ')}, such as 500MB`;
  const schema = leaf<number>('other', constraint, (value) => typeof value === 'number');
  const read = (written: string): number | string => {
    const [, digits, unit] = /^(\d+(?:\.\d*)?|\.\d+) ?([a-z]*)$/i.exec(written) ?? [];
    const factor = Object.entries(UNITS).find(([known]) => known.toLowerCase() === (unit || 'B').toLowerCase())?.[1];
    const value = Math.round(Number(digits) * (factor ?? NaN));
    return value > 0 && value < Infinity ? value : written;
  };
  return option(v.optional(schema), { help, otherwise, placeholder: 'SIZE', read });
}

/** Numbers separated by commas, one per colour channel. */
export function perChannel(
  schema: Schema<readonly number[]>,
  help: string,
  otherwise: string,
): Option<readonly number[] | undefined> {
  const read = (written: string): readonly number[] | string => {
    const values = written.split(',').map(number);
    return values.every(Number.isFinite) ? (values as number[]) : written;
  };
  return option(v.optional(schema), { help, otherwise, placeholder: 'R,G,B', read });
}

/** The schema of an option's values that are given. */
export function unwrapped(schema: Schema): Schema {
  return 'wrapped' in schema ? (schema.wrapped as Schema) : schema;
}

/** A table under a heading of the help. */
export function inGroup<T extends object>(group: string, table: T): T {
  return Object.fromEntries(Object.entries(table).map(([key, one]) => [key, { ...one, group }])) as T;
}

/** `batchSize` → `--batch-size`. */
export function dashed(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * The value of an option that is written as `written`.
 *
 * @throws InvalidArgumentError `Expected <name> to be <constraint>, received <value>`.
 */
export function readOption(one: Option, name: string, written: string): unknown {
  const { placeholder = '', read } = one;
  if (written.startsWith('--')) {
    throw new InvalidArgumentError(`Expected a value after ${name}: ${placeholder}, received ${quote(written)}`);
  }
  return checked(unwrapped(one.schema), read(written), name);
}

/** The values of all options, by what was given and their defaults. @throws InvalidArgumentError if one is missing. */
function withDefaults<T extends OptionTable>(table: T, given: Partial<Values<T>>): Values<T> {
  const demo = (given['data'] ?? (table['data'] && defaultOf(table['data']))) === 'synthetic';
  const values = Object.entries(table).map(([key, one]) => {
    const value = given[key] ?? (demo ? one.demo : undefined) ?? defaultOf(one);
    if (value === undefined && one.schema.type !== 'optional') {
      throw new InvalidArgumentError(`Expected ${dashed(key)} ${one.placeholder ?? ''}`);
    }
    return [key, value];
  });
  return Object.fromEntries(values) as Values<T>;
}

function defaultOf({ schema }: Option): unknown {
  return factsOf(schema).default;
}

/** Refuses an option that has no meaning beside the others. */
export function checkRequirements<T extends OptionTable>(table: T, given: Partial<Values<T>>, values: Values<T>): void {
  /** The requirement that is not met, by the option itself or by the one that it requires. */
  const unmet = (key: string): Requirement | undefined => {
    const requires = table[key]?.requires;
    if (!requires) return undefined;
    const met = requires.values.includes(String(values[requires.option]));
    return unmet(requires.option) ?? (met ? undefined : requires);
  };
  for (const key of Object.keys(given)) {
    const requires = unmet(key);
    if (!requires) continue;
    const value = values[requires.option];
    const instead = value === undefined || value === false ? '' : `, not ${String(value)}`;
    throw new InvalidArgumentError(`${dashed(key)} requires ${inWords(requires)}${instead}`);
  }
}

function inWords({ option: other, values }: Requirement): string {
  return values.join() === 'true' ? dashed(other) : `${dashed(other)} ${values.join(' or ')}`;
}

/** An option's text in the help. */
function helpOf(one: Option): string {
  const { help, demo, otherwise, requires, schema } = one;
  const { choices, default: standard } = factsOf(schema);
  const remarks = [
    ...(choices ? [`one of ${choices.join(', ')}`] : []),
    ...(requires ? [`requires ${inWords(requires)}`] : []),
    ...(standard !== undefined && standard !== false ? [`default: ${plain(standard)}`] : []),
    ...(otherwise !== undefined ? [`default: ${otherwise}`] : []),
    ...(demo !== undefined ? [`on synthetic data: ${plain(demo)}`] : []),
    ...(schema.type === 'optional' ? [] : ['required']),
  ];
  return remarks.length === 0 ? help : `${help} (${remarks.join('; ')})`;
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

interface Context<T extends OptionTable> {
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
  /** Names of the operands; all of them are required, but `[NAME...]` is any number, and `NAME...` at least one. */
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
    for (const operand of operands) leaf.argument(operand.startsWith('[') ? operand : `<${operand}>`);
    const most = operands.some((operand) => operand.includes('...')) ? Infinity : operands.length;
    for (const [key, one] of Object.entries(table)) {
      const flags = one.placeholder === undefined ? dashed(key) : `${dashed(key)} <${one.placeholder}>`;
      const added = new CommanderOption(flags, helpOf(one)).helpGroup(`${one.group ?? 'Options'}:`);
      if (one.placeholder !== undefined) added.argParser((written) => readOption(one, dashed(key), written));
      leaf.addOption(added);
    }
    if (notes !== undefined) leaf.addHelpText('after', `\n${wrap(notes)}`);
    // The action refuses these, with the nearest known name.
    leaf.allowUnknownOption().allowExcessArguments();
    leaf.action(async () => {
      const surplus = leaf.args.find((arg) => arg.startsWith('-')) ?? leaf.args[most];
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
  const known = Object.keys(table).map(dashed);
  if (known.includes(name)) {
    const problem = name === argument ? 'comes after --, where options end' : 'takes no value';
    return new InvalidArgumentError(`${name} ${problem}`);
  }
  const word = name.replace(/^-+/, '');
  const near = word.length > 1 ? nearest(`--${word}`, known) : '';
  return new InvalidArgumentError(`Unknown option ${quote(name)}${near || '; --help lists the options'}`);
}
