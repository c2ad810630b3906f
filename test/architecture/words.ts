/**
 * Words that readers stumble over, and the plain ones for them.
 *
 * @module
 */
import { all, type Case, type Rule } from './rules.js';

const INSTEAD: readonly [RegExp, string][] = [
  [/\bmend(s|ed|ing)?\b/gi, 'fix'],
  [/\bforet(ell|ells|elling|old)\b/gi, 'predict, or estimate'],
  [/\bh(e|o)ld(s|ing)? (\w+ )?against\b/gi, 'compare with'],
  [/\bof (one|your|his|her|the user)('s)? own\b/gi, 'custom'],
  [/\bunless given\b/gi, '"default: …"'],
  [/laborator(y|ies)/gi, 'context, or experiments'],
  [/\bturned (weights?|kernels?|filters?)\b/gi, 'flipped, or transposed'],
];

const plainWords: Rule = (files) =>
  files
    .filter(({ path }) => path !== 'test/architecture/words.ts')
    .flatMap(({ path, text }) =>
      INSTEAD.flatMap(([pattern, plain]) =>
        [...new Set(text.match(pattern))].map((word) => `${path} says "${word}" instead of ${plain}`),
      ),
    );

export const WORD_RULES: readonly Case[] = [
  {
    name: 'words are plain',
    rule: plainWords,
    files: all,
    violation: { path: 'docs/new.md', text: 'Nothing of this was ever mended.' },
  },
];
