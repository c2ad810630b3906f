/**
 * How wide a text is in a terminal.
 *
 * @module
 */
import { eastAsianWidth } from 'get-east-asian-width';

const ASCII = /^[\x20-\x7e]*$/;
const INVISIBLE = /^[\p{Mark}\p{Default_Ignorable_Code_Point}]/u;
const EMOJI = /\p{Emoji_Presentation}|\ufe0f/u;

const characters = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** The columns of a text without control characters: two for each wide character, such as those of Chinese, none for accents. */
export function textWidth(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const { segment } of characters.segment(text)) width += characterWidth(segment);
  return width;
}

function characterWidth(character: string): number {
  if (INVISIBLE.test(character)) return 0;
  return EMOJI.test(character) ? 2 : eastAsianWidth(character.codePointAt(0)!);
}

/** As much of a text as fits: whole parts, which two spaces separate, or as many characters of the first. */
export function fitting(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  const parts = text.split('  ');
  let shown = '';
  for (const [i, part] of parts.entries()) {
    const longer = i === 0 ? part : `${shown}  ${part}`;
    if (textWidth(longer) > columns) break;
    shown = longer;
  }
  if (shown !== '') return shown.trimEnd();
  for (const { segment } of characters.segment(text)) {
    if (textWidth(shown + segment) > columns) break;
    shown += segment;
  }
  return shown;
}

/** Columns from which a terminal has room for a bar, and for a long one; columns of each. */
const BARS = [
  { from: 100, size: 20 },
  { from: 60, size: 10 },
] as const;

/** `[===>    ]`, followed by two spaces, for a fraction from 0 to 1; nothing on a narrow terminal. */
export function bar(fraction: number, columns: number): string {
  const size = BARS.find(({ from }) => columns >= from)?.size;
  if (size === undefined) return '';
  const inner = size - 2;
  const full = Math.floor(inner * Math.min(1, Math.max(0, fraction)));
  const head = full < inner ? '>' : '';
  return `[${`${'='.repeat(full)}${head}`.padEnd(inner)}]  `;
}
