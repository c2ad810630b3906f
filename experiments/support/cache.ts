/**
 * Results in files, each with the options that it depends on: computed once.
 *
 * @module
 */
import { stat } from 'node:fs/promises';

import { FileError, readJson, writeFileAtomically } from 'deepzero';
import * as v from 'valibot';

/** A file, and the schema of its result. */
export interface CacheFile<T> {
  readonly path: string;
  readonly schema: v.GenericSchema<unknown, T>;
}

/** What happens to a result under other options: it may have taken days, or a second. */
type Otherwise = 'refuse' | 'recompute';

/**
 * The result in a file, or else the one that `compute` returns, which is then written to the file.
 *
 * @throws FileError if the file does not have the schema, or, with `refuse`, holds a result under other options.
 */
export async function cached<T extends object>(
  { path, schema }: CacheFile<T>,
  options: object,
  compute: () => Promise<T>,
  otherwise: Otherwise = 'refuse',
): Promise<T> {
  const found = await read(path, schema);
  const difference = found && differenceOf(found.options, options);
  if (found && difference === undefined) return found.result;
  if (difference !== undefined && otherwise === 'refuse') {
    throw new FileError(path, `is the result of other options or data: ${difference}; choose another --out`);
  }
  const result = await compute();
  // JSON has no NaN: the file would be refused later.
  if (!v.is(schema, result)) throw new Error(`The result for ${path} has a number that is not finite, or lacks one`);
  await writeFileAtomically(path, `${JSON.stringify({ options, result }, undefined, 2)}\n`);
  return result;
}

/** The result in a file, if there is one under these options. */
export async function readCached<T extends object>(
  { path, schema }: CacheFile<T>,
  options: object,
): Promise<T | undefined> {
  const found = await read(path, schema);
  return found && differenceOf(found.options, options) === undefined ? found.result : undefined;
}

/** The options of the result in a file, if there is one. */
export async function cachedOptions({ path, schema }: CacheFile<object>): Promise<Record<string, unknown> | undefined> {
  return (await read(path, schema))?.options;
}

/** @throws FileError if that cannot be determined: an unreadable folder may hold a result. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return false;
    throw new FileError(path, message, { cause: error });
  }
}

/** @throws FileError if the file does not have the schema, naming the entry. */
async function read<T>(
  path: string,
  schema: v.GenericSchema<unknown, T>,
): Promise<{ options: Record<string, unknown>; result: T } | undefined> {
  if (!(await exists(path))) return undefined;
  const content = v.strictObject({ options: v.record(v.string(), v.unknown()), result: schema });
  const parsed = v.safeParse(content, await readJson(path), { abortEarly: true });
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const entry = v.getDotPath(issue) ?? 'its content';
  // Of a key, valibot expects its name, or never.
  const presence = issue.expected === 'never' ? 'absent' : 'there';
  const expected = issue.type === 'strict_object' ? presence : issue.expected;
  throw new FileError(path, `expected ${entry} to be ${expected ?? 'valid'}, received ${issue.received}`);
}

/** The first option that differs, in words. */
function differenceOf(saved: object, given: object): string | undefined {
  const [before, now] = [saved, JSON.parse(JSON.stringify(given)) as object].map(
    (options) => new Map(leavesOf(options)),
  );
  const path = [...new Set([...before!.keys(), ...now!.keys()])].find((key) => before!.get(key) !== now!.get(key));
  if (path === undefined) return undefined;
  const [was, is] = [before, now].map((leaves) => JSON.stringify(leaves!.get(path)) ?? 'nothing'); // eslint-disable-line
  return `${path} was ${was!} and is now ${is!}`;
}

/** The values of nested objects and lists under their paths: `optimizer.lr.peak`. */
function leavesOf(value: unknown, path = ''): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return [[path, value]];
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, path === '' ? key : `${path}.${key}`));
}
