/**
 * Results that an experiment keeps: computed once, under the options that they depend on.
 *
 * @module
 */
import { FileError, isObject } from '../lib/support/check.js';
import type { Difference } from '../lib/support/differences.js';
import { firstDifference } from '../lib/support/differences.js';
import { exists, writeFileAtomically } from '../lib/support/files.js';
import { readJson } from '../lib/support/json.js';

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
  return await keep(file, options, compute, ({ path, saved, given }) => {
    const differs = `${path} was ${saved} and is now ${given}`;
    throw new FileError(file, `is the result of other options or data: ${differs}; choose another --out`);
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
  const { content, difference } = await lookUp(file, options);
  return difference ? undefined : (content as Kept<T> | undefined);
}

/** What the result in a file is kept under, if it is there. */
export async function optionsIn(file: string): Promise<Record<string, unknown> | undefined> {
  return (await exists(file)) ? optionsOf(await readJson(file)) : undefined;
}

function optionsOf(content: unknown): Record<string, unknown> | undefined {
  const options = isObject(content) ? content['options'] : undefined;
  return isObject(options) ? options : undefined;
}

async function keep<T extends object>(
  file: string,
  options: object,
  compute: () => Promise<T>,
  onOther: (difference: Difference) => void,
): Promise<Kept<T>> {
  const { content, difference } = await lookUp(file, options);
  if (content !== undefined && !difference) return content as Kept<T>;
  if (difference) onOther(difference);
  const result = { options: inJson(options), ...(await compute()) };
  await writeFileAtomically(file, `${JSON.stringify(result, undefined, 2)}\n`);
  return result;
}

/** What a file holds, if it is there, and where that is under other options. */
async function lookUp(file: string, options: object): Promise<{ content?: unknown; difference?: Difference }> {
  if (!(await exists(file))) return {};
  const content = await readJson(file);
  const difference = firstDifference(optionsOf(content), inJson(options));
  return { content, ...(difference && { difference }) };
}

/** As JSON has them: an option that is undefined is not there. */
const inJson = (options: object): object => JSON.parse(JSON.stringify(options)) as object;
