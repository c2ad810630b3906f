/**
 * JSON from files.
 *
 * @module
 */
import { escaped, FileError } from './errors.js';
import { readFileBytes } from './files.js';

/** Levels of objects and lists, which functions that walk through content can take for granted. */
const MOST_LEVELS = 500;

/** How many objects and lists enclose the innermost value of a JSON text. */
function levelsOf(text: string): number {
  let level = 0;
  let most = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char === '\\') i++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{' || char === '[') most = Math.max(most, ++level);
    else if (char === '}' || char === ']') level--;
  }
  return most;
}

/**
 * The value of a JSON text of a file.
 *
 * @param part Where in the file the text is, `the header`; by default it is the whole file.
 * @throws FileError `<file>: <part> is not JSON`, or if it nests deeper than anything that is written there.
 */
export function parseJson(text: string, file: string, part = ''): unknown {
  const what = part === '' ? '' : `${part} `;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FileError(file, `${what}is not JSON: ${escaped((cause as Error).message)}`, { cause });
  }
  if (levelsOf(text) <= MOST_LEVELS) return value;
  throw new FileError(file, `${what}has objects and lists nested more than ${MOST_LEVELS} deep`);
}

/** @throws FileError if it cannot be read or is not JSON. */
export async function readJson(file: string): Promise<unknown> {
  return parseJson(new TextDecoder().decode(await readFileBytes(file)), file);
}
