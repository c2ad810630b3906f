/**
 * The markdown pages of the package, and the blocks of code in them.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesUnder, root } from '../../scripts/run.js';

/** Code between fences. */
export interface Block {
  readonly language: string;
  /** What stands behind the language: a file's name, or `run`. */
  readonly info: string;
  readonly text: string;
}

export interface Page {
  /** From the package's folder. */
  readonly path: string;
  readonly text: string;
  readonly blocks: readonly Block[];
}

export function pageOf(path: string, text: string): Page {
  const blocks = [...text.matchAll(/^```(\w*)(?: ([^\n]+))?\n(.*?)^```$/gms)].map(
    ([, language, info = '', content]) => ({ language: language!, info, text: content! }),
  );
  return { path, text, blocks };
}

/** Every page: README.md and its like, docs/, examples/. */
export const PAGES: readonly Page[] = [
  ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...['docs', 'examples'].flatMap(filesUnder).filter((path) => path.endsWith('.md')),
].map((path) => pageOf(path, readFileSync(join(root, path), 'utf8')));
