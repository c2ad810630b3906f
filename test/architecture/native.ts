/**
 * What keeps the native core apart: from Node, and instruction sets from each other.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/run.js';
import { NATIVE_LAYERS } from './layers.js';
import { code, includes, type Case, type File, type Rule } from './rules.js';

/** Includes name their layer, or the rule above could be passed by with a relative path. */
const nativeIncludesNameTheirLayer: Rule = (files) =>
  files
    .filter(({ path }) => path.startsWith('native/'))
    .flatMap((file) =>
      [...file.text.matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)]
        .map((match) => match[1]!)
        .filter((header) => !NATIVE_LAYERS.flat().some((layer) => `native/${header}`.startsWith(`${layer}/`)))
        .map((header) => `${file.path} includes ${header}`),
    );

const onlyTheAddonKnowsNode: Rule = (files) =>
  files
    .filter(({ path }) => /\.[ch]pp$/.test(path) && !path.startsWith('native/addon/'))
    .flatMap((file) =>
      includes(file)
        .filter((header) => /^(napi|node_api|node|v8|uv)\b/.test(header))
        .map((header) => `${file.path} includes ${header}`),
    );

const oneFileLoadsTheAddon: Rule = (files) =>
  files
    .filter(
      ({ path, text }) =>
        path.startsWith('lib/') &&
        path !== 'lib/native/addon.ts' &&
        /createRequire|node-gyp-build|\.node\b['"`]/.test(text),
    )
    .map(({ path }) => `${path} loads native code`);

/** Headers of macros and plain types: nothing in them is a function that the linker might share with other code. */
const KERNEL_HEADERS = ['cstddef', 'cstdint', 'climits', 'cfloat'];

function kernelsKeepTheStandardLibraryOut(files: readonly File[], kernelSources: readonly string[]): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const reached = new Set<string>();
  const visit = (path: string): string[] => {
    const file = byPath.get(path);
    if (reached.has(path) || !file) return [];
    reached.add(path);
    return includes(file).flatMap((header) => {
      if (byPath.has(`native/${header}`)) return visit(`native/${header}`);
      return KERNEL_HEADERS.includes(header) ? [] : [`${path} includes ${header}`];
    });
  };
  return kernelSources.flatMap(visit);
}

export function sourcesAreListedOnce(files: readonly File[], listed: readonly string[]): string[] {
  const present = files.map(({ path }) => path).filter((path) => /^native\/.*\.cpp$/.test(path));
  return [
    ...present.filter((path) => !listed.includes(path)).map((path) => `${path} is not listed`),
    ...listed.filter((path) => !present.includes(path)).map((path) => `${path} does not exist`),
    ...listed.filter((path, i) => listed.indexOf(path) !== i).map((path) => `${path} is listed twice`),
  ];
}

const sources = JSON.parse(readFileSync(join(root, 'native/sources.json'), 'utf8')) as {
  core: string[];
  kernels: string[];
  addon: string[];
};

/** A file that includes headers, each given with its brackets or quotes. */
function including(path: string, ...headers: string[]): File {
  return { path, text: headers.map((header) => `#include ${header}\n`).join('') };
}

export const NATIVE_RULES: readonly Case[] = [
  {
    name: 'native includes name their layer',
    rule: nativeIncludesNameTheirLayer,
    files: code,
    violation: including('native/network/pass.cpp', '"../estimators/estimators.hpp"'),
  },
  {
    name: 'only native/addon knows Node',
    rule: onlyTheAddonKnowsNode,
    files: code,
    violation: including('native/network/pass.cpp', '<napi.h>'),
  },
  {
    name: 'only lib/native/addon.ts loads the addon',
    rule: oneFileLoadsTheAddon,
    files: code,
    violation: { path: 'lib/model/model.ts', text: "const addon = createRequire(import.meta.url)('../build/x');" },
  },
  {
    name: 'kernels include no standard library but plain types',
    rule: (files) => kernelsKeepTheStandardLibraryOut(files, sources.kernels),
    files: code,
    violation: including(sources.kernels[0]!, '<vector>'),
  },
  {
    name: 'kernels include none through their headers either',
    rule: (files) => kernelsKeepTheStandardLibraryOut(files, sources.kernels),
    files: code,
    violation: including('native/kernels/kernels.hpp', '<vector>'),
  },
  {
    name: 'native/sources.json lists every source once',
    rule: (files) => sourcesAreListedOnce(files, [...sources.core, ...sources.kernels, ...sources.addon]),
    files: code,
    violation: { path: 'native/network/forgotten.cpp', text: '' },
  },
];
