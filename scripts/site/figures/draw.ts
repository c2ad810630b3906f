/**
 * Shapes of the figures, in colours of both themes.
 *
 * @module
 */

const STYLE = `<style>
svg { --ink: #1f2933; --paper: #ffffff; --soft: #e6eaee; --line: #7b8794; --a: #2f6db3; --b: #c4620a; --c: #23805a; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #d5dbe1; --paper: #171b21; --soft: #2b323b; --line: #8f9aa6; --a: #6ea8ec; --b: #f0a04b; --c: #5cc596; }
}
</style>`;

/** A colour of the theme. */
export type Colour = 'ink' | 'paper' | 'soft' | 'line' | 'a' | 'b' | 'c';

const escape = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
const of = (colour: Colour): string => `style="fill:var(--${colour})"`;
const n = (value: number): string => String(Math.round(value * 10) / 10);

interface TextStyle {
  readonly size?: number;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly colour?: Colour;
  readonly bold?: boolean;
}

export function text(x: number, y: number, content: string, style: TextStyle = {}): string {
  const { size = 14, anchor = 'start', colour = 'ink', bold = false } = style;
  const weight = bold ? ' font-weight="bold"' : '';
  return `<text x="${n(x)}" y="${n(y)}" font-size="${size}" text-anchor="${anchor}"${weight} ${of(colour)}>${escape(content)}</text>`;
}

export function box(x: number, y: number, width: number, height: number, fill: Colour, border: Colour = fill): string {
  return `<rect x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" rx="5" style="fill:var(--${fill});stroke:var(--${border})" stroke-width="1.5"/>`;
}

export function dot(x: number, y: number, colour: Colour, radius = 4.5): string {
  return `<circle cx="${n(x)}" cy="${n(y)}" r="${radius}" ${of(colour)}/>`;
}

export function ellipse(x: number, y: number, rx: number, ry: number, turn: number): string {
  return `<ellipse cx="${n(x)}" cy="${n(y)}" rx="${n(rx)}" ry="${n(ry)}" transform="rotate(${n(turn)} ${n(x)} ${n(y)})" fill="none" style="stroke:var(--soft)" stroke-width="2"/>`;
}

export function arrow(x1: number, y1: number, x2: number, y2: number, colour: Colour, dashed = false): string {
  const length = Math.hypot(x2 - x1, y2 - y1);
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const [bx, by] = [x2 - 9 * ux, y2 - 9 * uy];
  const head = `${n(x2)},${n(y2)} ${n(bx - 4.5 * uy)},${n(by + 4.5 * ux)} ${n(bx + 4.5 * uy)},${n(by - 4.5 * ux)}`;
  const dash = dashed ? ' stroke-dasharray="5 4"' : '';
  return `<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(bx)}" y2="${n(by)}" style="stroke:var(--${colour})" stroke-width="2.2"${dash}/><polygon points="${head}" ${of(colour)}/>`;
}

/** A figure with a title for those who cannot see it. */
export function figure(width: number, height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" role="img">`,
    `<title>${escape(title)}</title>`,
    STYLE,
    `<rect width="100%" height="100%" rx="8" ${of('paper')}/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}
