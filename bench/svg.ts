/**
 * What plots and charts are drawn with.
 *
 * @module
 */

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** A text at a place. */
export function label(x: number, y: number, content: string, style = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${style}>${escape(content)}</text>`;
}

/** The least of 1, 2, 5 times a power of ten that is not below `rough`: between the lines of an axis. */
export function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough)!;
}
