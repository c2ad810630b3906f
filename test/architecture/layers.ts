/**
 * The layers of ARCHITECTURE.md, and how large a folder may be.
 *
 * @module
 */
import { dirname } from 'node:path';
import { code, importsOf, type Case, type File, type Rule } from './rules.js';

/** Folders and files, lowest layer first; those of one layer stand side by side and do not know each other. */
export type Layers = readonly (readonly string[])[];

const TYPESCRIPT_LAYERS: Layers = [
  ['lib/support'],
  ['lib/native/loading'],
  ['lib/native'],
  ['lib/network', 'lib/ranks'],
  ['lib/data'],
  ['lib/model'],
  ['lib/optimizers'],
  ['lib/paper.ts'],
  ['lib/objectives'],
  ['lib/boxes'],
  ['lib/estimators'],
  ['lib/pruning'],
  ['lib/training'],
  ['lib/index.ts'],
  ['lib/runs'],
  ['lib/ui'],
  ['lib/cli'],
  ['bench/support'],
  ['bench'],
  ['experiments/support'],
  ['experiments'],
];

export const NATIVE_LAYERS: Layers = [
  ['native/kernels'],
  ['native/support'],
  ['native/network/plan'],
  ['native/network'],
  ['native/network/changes', 'native/network/backward', 'native/network/reference'],
  ['native/runtime'],
  ['native/include'],
  ['native/estimators'],
  ['native/rollouts'],
  ['native/ranks/commands'],
  ['native/ranks'],
  ['native/mpi'],
  ['native/measure'],
  ['native/addon'],
];

const MAX_FILES = 12;
const MAX_FILES_ON_TOP = 3;

const foldersAreSmall: Rule = (files) => {
  const sources = files.filter(({ path }) => /^(lib|experiments|bench|native)\/.*\.(ts|py|cpp|hpp)$/.test(path));
  const counts = new Map<string, number>();
  for (const { path } of sources) counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1);
  return [...counts]
    .filter(([folder, count]) => count > (folder === 'lib' ? MAX_FILES_ON_TOP : MAX_FILES))
    .map(([folder, count]) => `${folder} has ${count} source files`);
};

/** Imports of a layer that is not below the file's own, and files of the package that are in no layer. */
function importsPointDown(layers: Layers): Rule {
  const placeOf = (path: string): { level: number; name: string } | undefined =>
    layers
      .flatMap((names, level) => names.map((name) => ({ level, name })))
      .filter(({ name }) => path === name || path.startsWith(`${name}/`))
      .sort((a, b) => b.name.length - a.name.length)[0];
  return (files) =>
    files.flatMap((file) => {
      const own = placeOf(file.path);
      if (!own) return /^(lib|native)\/.*\.(ts|cpp|hpp)$/.test(file.path) ? [`${file.path} is in no layer`] : [];
      return importsOf(file)
        .filter((path) => {
          const place = placeOf(path);
          return place && place.name !== own.name && place.level >= own.level;
        })
        .map((path) => `${file.path} imports ${path}`);
    });
}

/** The clock of single kernels needs the addon: networks run kernels only together. */
const KERNEL_CLOCK = 'bench/support/kernel-clock.ts imports lib/native/addon.ts';

/** Benchmarks and experiments use the library as its users do, by the name `deepzero`. */
const onlyThePublicApi: Rule = (files) =>
  files
    .filter(({ path }) => /^(bench|experiments)\//.test(path))
    .flatMap((file) => importsOf(file).map((path) => ({ path, line: `${file.path} imports ${path}` })))
    .filter(({ path, line }) => path.startsWith('lib/') && line !== KERNEL_CLOCK)
    .map(({ line }) => line);

/** Files that import each other, directly or through others. */
export const noCircles: Rule = (files) => {
  const imported = new Map(files.map((file) => [file.path, importsOf(file)]));
  const done = new Set<string>();
  const visit = (path: string, above: readonly string[]): string[] => {
    if (above.includes(path)) return [[...above.slice(above.indexOf(path)), path].join(' > ')];
    if (done.has(path)) return [];
    const circles = (imported.get(path) ?? []).flatMap((next) => visit(next, [...above, path]));
    done.add(path);
    return circles;
  };
  return files.flatMap(({ path }) => visit(path, []));
};

function emptyFiles(folder: string, count: number): File[] {
  return Array.from({ length: count }, (_, i) => ({ path: `${folder}/new${i}.ts`, text: '' }));
}

const typescript = code.filter(({ path }) => path.endsWith('.ts'));
const native = code.filter(({ path }) => /\.[ch]pp$/.test(path));

export const LAYER_RULES: readonly Case[] = [
  {
    name: 'TypeScript layers import only from those below, types included',
    rule: importsPointDown(TYPESCRIPT_LAYERS),
    files: typescript,
    violation: { path: 'lib/data/new.ts', text: "import type { Model } from '../model/model.js';" },
  },
  {
    name: 'every folder of lib is in a layer',
    rule: importsPointDown(TYPESCRIPT_LAYERS),
    files: [],
    violation: { path: 'lib/new/new.ts', text: '' },
  },
  {
    name: 'the library does not import from the command',
    rule: importsPointDown(TYPESCRIPT_LAYERS),
    files: [],
    violation: { path: 'lib/index.ts', text: "export { print } from './cli/output.js';" },
  },
  {
    name: 'benchmarks and experiments import only the public API',
    rule: onlyThePublicApi,
    files: typescript,
    violation: { path: 'bench/support/new.ts', text: "import { native } from '../../lib/native/addon.js';" },
  },
  {
    name: 'native layers include only from those below',
    rule: importsPointDown(NATIVE_LAYERS),
    files: native,
    violation: { path: 'native/network/pass.cpp', text: '#include "estimators/estimators.hpp"' },
  },
  {
    name: 'a subfolder of a native layer is a layer of its own',
    rule: importsPointDown(NATIVE_LAYERS),
    files: native,
    violation: { path: 'native/network/pass.cpp', text: '#include "network/changes/change_pass.hpp"' },
  },
  {
    name: 'native layers do not include from those beside them',
    rule: importsPointDown(NATIVE_LAYERS),
    files: native,
    violation: { path: 'native/network/changes/new.cpp', text: '#include "network/backward/new.hpp"' },
  },
  {
    name: 'no files import each other in a circle',
    rule: noCircles,
    files: code,
    violation: { path: 'lib/support/new.ts', text: "import type { New } from './new.js';" },
  },
  {
    name: `no folder has more than ${MAX_FILES} source files`,
    rule: foldersAreSmall,
    files: code,
    violation: emptyFiles('native/new', MAX_FILES + 1),
  },
  {
    name: `lib has at most ${MAX_FILES_ON_TOP} files on top`,
    rule: foldersAreSmall,
    files: code.filter(({ path }) => dirname(path) === 'lib'),
    violation: emptyFiles('lib', MAX_FILES_ON_TOP),
  },
];
