/**
 * Schemas of options and of files, on valibot. A value's constraint, default and description stand once, in its schema:
 * types, known keys, error messages and the command's options come from there.
 *
 *     const cgeOptions = v.strictObject({ mu: positive, central: v.optional(boolean, false) });
 *     export interface CgeOptions extends v.InferInput<typeof cgeOptions> {}
 *     const { mu, central } = parseOptions(cgeOptions, options, 'cge');
 *
 * @module
 */
import * as v from 'valibot';

import { didYouMean, FileError, InvalidArgumentError, quote, show } from './errors.js';

/** How a value is written on a command line. */
export type Form = 'number' | 'boolean' | 'string' | 'choice' | 'other';

/** What a schema knows of its values beside how to check them. */
export type Facts = {
  /** Ends the sentence `Expected mu to be …`. */
  readonly constraint: string;
  readonly form: Form;
  /** Of a choice, in the order of the help. */
  readonly choices?: readonly string[];
};

/** A schema of one value. */
export type Leaf<T> = v.SchemaWithPipe<
  readonly [v.CustomSchema<T, v.ErrorMessage<v.CustomIssue> | undefined>, v.MetadataAction<T, Facts>]
>;

/** Values that pass a test. */
export function leaf<T>(form: Form, constraint: string, test: (value: unknown) => boolean, more: object = {}): Leaf<T> {
  return v.pipe(v.custom<T>(test, constraint), v.metadata({ constraint, form, ...more }));
}

type Schema = v.GenericSchema;

/** What a schema says of its values, through `v.optional`. */
export function factsOf(schema: Schema): Facts & { readonly description?: string; readonly default?: unknown } {
  if ('wrapped' in schema) {
    const { wrapped } = schema as unknown as { wrapped: Schema };
    const { default: fallback } = schema as unknown as { default: unknown };
    const description = v.getDescription(schema);
    return {
      ...factsOf(wrapped),
      ...(fallback !== undefined && { default: fallback }),
      ...(description !== undefined && { description }),
    };
  }
  const description = v.getDescription(schema);
  return { ...(v.getMetadata(schema) as unknown as Facts), ...(description !== undefined && { description }) };
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** Finite numbers that pass a test. */
function number(constraint: string, test: (value: number) => boolean = () => true): Leaf<number> {
  return leaf('number', constraint, (value) => isNumber(value) && test(value));
}

export const finite: Leaf<number> = number('a finite number');
export const positive: Leaf<number> = number('a finite number > 0', (value) => value > 0);
export const nonNegative: Leaf<number> = number('a finite number >= 0', (value) => value >= 0);
/** A number in [0, 1). */
export const fraction: Leaf<number> = number('a number >= 0 and < 1', (value) => value >= 0 && value < 1);
/** The factor of a decay, in (0, 1]. */
export const decayFactor: Leaf<number> = number('a number > 0 and <= 1', (value) => value > 0 && value <= 1);
/** A number in [0, 1]. */
export const unit: Leaf<number> = number('a number from 0 to 1', (value) => value >= 0 && value <= 1);

/** A smoothing parameter μ: a step in float32. */
export const smoothing: Leaf<number> = number('a finite number > 0 that float32 can hold', (value) => {
  const step = Math.fround(value);
  return step > 0 && step < Infinity;
});

/** An integer in [low, high]. */
export function integer(low = 0, high = Infinity): Leaf<number> {
  const range = high === Infinity ? `>= ${low}` : `from ${low} to ${high}`;
  return number(`an integer ${range}`, (value) => Number.isSafeInteger(value) && value >= low && value <= high);
}

/** A seed: any integer that a double holds exactly. */
export const seed: Leaf<number> = integer(0, Number.MAX_SAFE_INTEGER);

/** How many queries an estimate makes; the native core counts them in 32 bits with a sign. */
export const queryCount: Leaf<number> = integer(1, 2 ** 31 - 1);

export const boolean: Leaf<boolean> = leaf('boolean', 'true or false', (value) => typeof value === 'boolean');

export const string: Leaf<string> = leaf(
  'string',
  'a non-empty string',
  (value) => typeof value === 'string' && value !== '',
);

/** Any string. */
export const text: Leaf<string> = leaf('string', 'a string', (value) => typeof value === 'string');

/** One of a closed list of strings. */
export function oneOf<const T extends string>(choices: readonly T[]): Leaf<T> {
  const test = (value: unknown): boolean => choices.includes(value as T);
  return leaf('choice', `one of ${choices.join(', ')}`, test, { choices });
}

export type ListSchema<T> = v.GenericSchema<T>;

/** A list that passes a test, of items of one schema. */
export function list<T extends readonly unknown[]>(
  item: Schema,
  constraint: string,
  test: (list: readonly unknown[]) => boolean = () => true,
): ListSchema<T> {
  const isList = v.custom<unknown[]>((value) => Array.isArray(value) && test(value), constraint);
  const schema = v.pipe(isList, v.array(item), v.metadata({ constraint, form: 'other' }));
  return schema as Schema as ListSchema<T>;
}

/** A typed array with at least one number. */
export function nonEmpty<T extends Float32Array | Uint32Array>(type: new () => T, constraint: string): Leaf<T> {
  return leaf('other', constraint, (value) => value instanceof type && value.length > 0);
}

/** An instance of a class; `constraint` says which. */
export function instance<T>(type: abstract new (...args: never[]) => T, constraint: string): Leaf<T> {
  return leaf('other', constraint, (value) => value instanceof type);
}

export function callback<T extends (...args: never[]) => unknown>(): Leaf<T> {
  return leaf('other', 'a function', (value) => typeof value === 'function');
}

export const abortSignal: Leaf<AbortSignal> = leaf('other', 'an AbortSignal', (value) => {
  const { throwIfAborted, addEventListener } = Object(value) as Partial<AbortSignal>;
  return typeof throwIfAborted === 'function' && typeof addEventListener === 'function';
});

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const object: Leaf<object> = leaf('other', 'an object', isObject);

type Entries = Readonly<Record<string, Schema>>;
type ObjectSchema = Schema & { readonly entries: Entries };

/** The keys that an object of options may have. */
export function keysOf(schema: { readonly entries: object }): string[] {
  return Object.keys(schema.entries);
}

/**
 * The options with their defaults.
 *
 * @param what Whose options they are: `cge`.
 * @throws InvalidArgumentError naming the option, its constraint and its value; for an unknown key, the nearest known one.
 */
export function parseOptions<const S extends ObjectSchema>(
  schema: S,
  options: unknown,
  what: string,
): v.InferOutput<S> {
  if (!isObject(options)) throw expected(`the options of ${what}`, 'an object', options);
  const known = keysOf(schema);
  // A misspelt option is named before it is missed.
  const unknown = Object.keys(options).find((key) => !known.includes(key));
  if (unknown !== undefined) {
    throw new InvalidArgumentError(`Unknown option ${quote(unknown)} in ${what}${didYouMean(unknown, known)}`);
  }
  const { output, problem } = parse(schema, options);
  if (!problem) return output;
  if (problem.unknown) {
    const { key, near } = problem.unknown;
    throw new InvalidArgumentError(`Unknown option ${quote(key)} in ${problem.path}${near}`);
  }
  throw expectedOption(problem.path, problem.constraint, problem.received);
}

/** A single argument. @throws InvalidArgumentError `Expected <what> to be <constraint>, received <value>`. */
export function checked<const S extends Schema>(schema: S, value: unknown, what: string): v.InferOutput<S> {
  const { output, problem } = parse(schema, value);
  if (!problem) return output;
  throw new InvalidArgumentError(
    `Expected ${what}${problem.path} to be ${problem.constraint}, received ${problem.received}`,
  );
}

/**
 * A file's content with its defaults.
 *
 * @throws FileError naming the file, the entry, its constraint and its value.
 */
export function parseContent<const S extends Schema>(schema: S, content: unknown, file: string): v.InferOutput<S> {
  const { output, problem } = parse(schema, content);
  if (!problem) return output;
  const { path, constraint, received, unknown } = problem;
  if (unknown !== undefined) {
    throw new FileError(file, `unknown ${quote(unknown.key)}${path === '' ? '' : ` in ${path}`}${unknown.near}`);
  }
  throw new FileError(file, `expected ${path === '' ? 'its content' : path} to be ${constraint}, received ${received}`);
}

interface Problem {
  /** Of the value at fault, from the outermost object on: `optimizer.lr`, `layers["fc.weight"]`. */
  readonly path: string;
  readonly constraint: string;
  /** As `show` writes it. */
  readonly received: string;
  readonly unknown?: { readonly key: string; readonly near: string };
}

type Parsed<S extends Schema> =
  | { readonly output: v.InferOutput<S>; readonly problem?: undefined }
  | { readonly output?: undefined; readonly problem: Problem };

function parse<S extends Schema>(schema: S, value: unknown): Parsed<S> {
  const list = listForObject(schema, value);
  if (list) return { problem: { path: pathOf(list.keys), constraint: 'an object', received: show(list.value) } };
  const result = v.safeParse(schema, value, { abortEarly: true });
  return result.success ? { output: result.output } : { problem: problemOf(schema, result.issues[0]) };
}

type Keys = readonly (string | number)[];

/** The first list in the place of an object, which valibot would accept. */
function listForObject(schema: Schema, value: unknown, keys: Keys = []): { keys: Keys; value: unknown } | undefined {
  const inner = schemaAt(schema, []);
  const object = inner !== undefined && ('entries' in inner || inner.type === 'record');
  if (object && Array.isArray(value)) return { keys, value };
  if (!(object && isObject(value)) && !(inner?.type === 'array' && Array.isArray(value))) return undefined;
  for (const [name, item] of Object.entries(value)) {
    const key = object ? name : Number(name);
    const at = schemaAt(inner, [key]);
    const found = at && listForObject(at, item, [...keys, key]);
    if (found) return found;
  }
  return undefined;
}

function problemOf(schema: Schema, issue: v.BaseIssue<unknown>): Problem {
  const keys = (issue.path ?? []).map(({ key }) => key as string | number);
  const received = show(issue.path === undefined ? issue.input : (issue.path.at(-1) as { value?: unknown }).value);
  if (issue.type === 'strict_object' || issue.type === 'object') {
    const parent = schemaAt(schema, keys.slice(0, -1)) as Partial<ObjectSchema> | undefined;
    const entries = parent?.entries ?? {};
    const key = String(keys.at(-1) ?? '');
    if (issue.expected === 'never') {
      return {
        ...{ path: pathOf(keys.slice(0, -1)), constraint: '', received },
        unknown: { key, near: didYouMean(key, Object.keys(entries)) },
      };
    }
    if (issue.expected !== 'Object') {
      const missing = entries[key];
      return { path: pathOf(keys), constraint: constraintOf(missing) + orNull(missing), received: 'undefined' };
    }
  }
  const constraint = issue.type === 'custom' || issue.type === 'check' ? issue.message : constraintIn(issue);
  const parent = schemaAt(schema, keys.slice(0, -1)) as Partial<ObjectSchema> | undefined;
  return { path: pathOf(keys), constraint: constraint + orNull(parent?.entries?.[String(keys.at(-1))]), received };
}

const orNull = (schema: Schema | undefined): string => (schema?.type === 'nullable' ? ' or null' : '');

/** Of valibot's own schemas of objects and lists. */
function constraintIn({ expected: type, message }: v.BaseIssue<unknown>): string {
  if (type === 'Object') return 'an object';
  if (type === 'Array') return 'a list';
  return type ?? message;
}

function constraintOf(schema: Schema | undefined): string {
  if (schema === undefined) return 'there';
  const { constraint } = factsOf(schema) as Partial<Facts>;
  if (constraint !== undefined) return constraint;
  if ('entries' in schema || schema.type === 'record') return 'an object';
  return schema.type === 'array' ? 'a list' : 'there';
}

function schemaAt(schema: Schema | undefined, keys: Keys): Schema | undefined {
  if (schema === undefined) return undefined;
  if ('wrapped' in schema) return schemaAt((schema as unknown as { wrapped: Schema }).wrapped, keys);
  const [key, ...rest] = keys;
  if (key === undefined) return schema;
  if ('entries' in schema) return schemaAt((schema as ObjectSchema).entries[key], rest);
  if ('value' in schema) return schemaAt((schema as unknown as { value: Schema }).value, rest);
  return 'item' in schema ? schemaAt((schema as unknown as { item: Schema }).item, rest) : undefined;
}

function pathOf(keys: Keys): string {
  const part = (key: string | number, i: number): string => {
    if (typeof key === 'number') return `[${key}]`;
    if (!/^[A-Za-z_]\w*$/.test(key)) return `[${quote(key)}]`;
    return i === 0 ? key : `.${key}`;
  };
  return keys.map(part).join('');
}

/** The message of every check: `Expected <what> to be <constraint>, received <value>`. */
export function expected(what: string, constraint: string, received: unknown): InvalidArgumentError {
  return new InvalidArgumentError(`Expected ${what} to be ${constraint}, received ${show(received)}`);
}

/** The same of an option, which the error then names; `received` as `show` writes it. */
export function expectedOption(option: string, constraint: string, received: string): InvalidArgumentError {
  return new InvalidArgumentError((name) => `Expected ${name} to be ${constraint}, received ${received}`, { option });
}
