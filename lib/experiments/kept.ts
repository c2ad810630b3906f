/**
 * Results that an experiment keeps: computed once, under the options that they depend on.
 *
 * @module
 */
import { isDeepStrictEqual } from 'node:util';

import { FileError, isObject } from '../check.js';
import { exists, readFileBytes, removeTemporaries, writeFileAtomically } from '../files.js';

/**
 * The result in a file, or what `compute` yields, which is then there.
 *
 * @throws FileError if the file holds a result under other options.
 */
export async function kept<T extends object>(
  file: string,
  options: object,
  compute: () => Promise<T>,
): Promise<T & { options: object }> {
  // As JSON has them: an option that is undefined is not there.
  const wanted = JSON.parse(JSON.stringify(options)) as object;
  const known = await keptAlready<T>(file, wanted);
  if (known) return known;
  await removeTemporaries(file);
  const result = { options: wanted, ...(await compute()) };
  await writeFileAtomically(file, `${JSON.stringify(result, undefined, 2)}\n`);
  return result;
}

/** The result in a file, if it is there. */
async function keptAlready<T extends object>(
  file: string,
  wanted: object,
): Promise<(T & { options: object }) | undefined> {
  if (!(await exists(file))) return undefined;
  let content: unknown;
  try {
    content = JSON.parse(new TextDecoder().decode(await readFileBytes(file)));
  } catch (cause) {
    throw new FileError(file, `is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (isObject(content) && isDeepStrictEqual(content['options'], wanted)) {
    return content as T & { options: object };
  }
  throw new FileError(file, 'is the result of other options or data: choose another --out');
}
