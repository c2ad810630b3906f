/**
 * The machines of several runs in one text.
 *
 * @module
 */

const BETWEEN = '; ';

/** Each machine once, of texts that may each name several. */
export function machinesIn(texts: readonly string[]): string[] {
  return [...new Set(texts.flatMap((text) => text.split(BETWEEN)))];
}

export function joinMachines(texts: readonly string[]): string {
  return machinesIn(texts).join(BETWEEN);
}
