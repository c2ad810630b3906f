/**
 * What the rules about the code share: files, and what they import.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import ts from 'typescript';
import { filesUnder, root } from '../../scripts/run.js';

/** A source file: its path from the package's folder, and its text. */
export interface File {
  path: string;
  text: string;
}

/** From files to violations, one line each. */
export type Rule = (files: readonly File[]) => string[];

/** A rule, the files that keep it, and files that break it once. */
export interface Case {
  name: string;
  rule: Rule;
  files: readonly File[];
  violation: File | readonly File[];
}

const folders = ['.ci', 'bench', 'docs', 'examples', 'experiments', 'lib', 'native', 'scripts', 'test'];

export const all: readonly File[] = [...folders.flatMap(filesUnder), ...readdirSync(root)]
  .filter((path) => /\.(ts|js|py|cpp|hpp|md|json|gyp|txt)$|^\.ci\//.test(path) && path !== 'package-lock.json')
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));

export const code: readonly File[] = all.filter(({ path }) => /\.(ts|py|cpp|hpp)$/.test(path));

/** A C++ file's includes, as written. */
export function includes({ text }: File): string[] {
  return [...text.matchAll(/^\s*#\s*include\s*["<]([^">]+)[">]/gm)].map((match) => match[1]!);
}

/** The files of the package that a file imports or includes, types included. */
export function importsOf(file: File): string[] {
  if (/\.[ch]pp$/.test(file.path)) return includes(file).map((header) => `native/${header}`);
  if (!file.path.endsWith('.ts')) return [];
  return ts
    .preProcessFile(file.text)
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => posix.join(dirname(file.path), name).replace(/\.js$/, '.ts'));
}
