/**
 * Figures for pages in light and in dark.
 *
 * @module
 */

/** Of plots: text, background and lines in dark. */
const DARK = `<style>
@media (prefers-color-scheme: dark) {
  svg { fill: #d5dbe1; }
  rect[fill='#ffffff'] { fill: #171b21; }
  text[fill='#52606d'] { fill: #9aa5b1; }
  line[stroke='#eceff2'], line[stroke='#d5d9de'] { stroke: #343b45; }
}
</style>`;

/** A plot that is also legible on a dark page. */
export function themed(svg: string): string {
  return svg.replace(/^<svg[^>]*>/, (start) => `${start}\n${DARK}`);
}
