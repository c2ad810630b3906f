/**
 * What any file may hold.
 *
 * @module
 */
import { all, code, type Case, type Rule } from './rules.js';

const MAX_LINES = 400;

const filesAreShort: Rule = (files) =>
  files
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > MAX_LINES)
    .map(({ path, lines }) => `${path} has ${lines} lines`);

/** Paths that exist only where the package is developed mean nothing to a reader. */
const nothingNamesTheWorkplace: Rule = (files) =>
  files.flatMap(({ path, text }) =>
    [...text.matchAll(/(?<![\w.])\/(?:work|tmp|root|home)\/\w+|\.\.\/shared\//g)].map(
      (match) => `${path} names ${match[0]}`,
    ),
  );

export const TEXT_RULES: readonly Case[] = [
  {
    name: `no file has more than ${MAX_LINES} lines`,
    rule: filesAreShort,
    files: code,
    violation: { path: 'lib/long.ts', text: '\n'.repeat(MAX_LINES + 1) },
  },
  {
    name: 'no file names the place where it was written',
    rule: nothingNamesTheWorkplace,
    files: all,
    violation: { path: 'README.md', text: ['cd /', 'work/package'].join('') },
  },
];
