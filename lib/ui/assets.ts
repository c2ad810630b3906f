/**
 * The page's program and style: built beside this file, or made from the sources in a clone.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';

import { bundlePage } from './bundle.js';
import type { Assets } from './html.js';

/** @throws Error if the package is incomplete. */
export async function loadAssets(): Promise<Assets> {
  try {
    const [script, style] = await Promise.all(
      ['page.js', 'page.css'].map((name) => readFile(new URL(name, import.meta.url), 'utf8')),
    );
    return { script: script!, style: style! };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return bundlePage();
  }
}
