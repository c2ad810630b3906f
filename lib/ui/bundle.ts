/**
 * Makes the page's program and style of their sources, in a clone: `npm run build` puts them beside this file in `dist/`.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import type { Assets } from './html.js';

/** From `lib/ui/`, and as deep below the package's folder. */
const ROOT = new URL('../../', import.meta.url);

/** The page's bundles, with the licence of the library in them. */
export async function bundlePage(): Promise<Assets> {
  const { build } = await import('esbuild');
  const licence = await readFile(new URL('node_modules/uplot/LICENSE', ROOT), 'utf8');
  const banner = `/*!\nIncludes uPlot, https://github.com/leeoniya/uPlot\n\n${licence.trim()}\n*/`;
  const { outputFiles } = await build({
    entryPoints: ['page.ts', 'page.css'].map((name) => fileURLToPath(new URL(`lib/ui/page/${name}`, ROOT))),
    outdir: fileURLToPath(new URL('build/page', ROOT)),
    banner: { js: banner, css: banner },
    tsconfig: fileURLToPath(new URL('lib/ui/page/tsconfig.json', ROOT)),
    ...{ bundle: true, minify: true, write: false, format: 'iife', target: 'es2022', legalComments: 'inline' },
  });
  const textOf = (ending: string): string => outputFiles.find(({ path }) => path.endsWith(ending))!.text;
  return { script: textOf('.js'), style: textOf('.css') };
}
