/**
 * Results that an experiment keeps: computed once, under the options that they depend on.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';

import { FileError, isObject } from '../check.js';
import { exists, readJson, removeTemporaries, writeFileAtomically } from '../files.js';

type Kept<T> = T & { options: object };

/**
 * The result in a file, or what `compute` yields, which is then there.
 *
 * @throws FileError if the file holds a result under other options: it may have taken days.
 */
export async function kept<T extends object>(
  file: string,
  options: object,
  compute: () => Promise<T>,
): Promise<Kept<T>> {
  return await keep(file, options, compute, () => {
    throw new FileError(file, 'is the result of other options or data: choose another --out');
  });
}

/** The same of what takes little time: a result under other options, or of another machine, is computed anew. */
export async function renewed<T extends object>(
  file: string,
  options: object,
  compute: () => Promise<T>,
): Promise<Kept<T>> {
  return await keep(file, options, compute, () => undefined);
}

/** A result that is there under these options, if there is one. */
export async function recalled<T extends object>(file: string, options: object): Promise<Kept<T> | undefined> {
  if (!(await exists(file))) return undefined;
  const content = await readJson(file);
  return isObject(content) && isDeepStrictEqual(content['options'], inJson(options)) ? (content as Kept<T>) : undefined;
}

async function keep<T extends object>(
  file: string,
  options: object,
  compute: () => Promise<T>,
  onOther: () => void,
): Promise<Kept<T>> {
  const known = await recalled<T>(file, options);
  if (known) return known;
  if (await exists(file)) onOther();
  await removeTemporaries(file);
  const result = { options: inJson(options), ...(await compute()) };
  await writeFileAtomically(file, `${JSON.stringify(result, undefined, 2)}\n`);
  return result;
}

/** As JSON has them: an option that is undefined is not there. */
const inJson = (options: object): object => JSON.parse(JSON.stringify(options)) as object;
