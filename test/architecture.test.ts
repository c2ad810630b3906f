/**
 * The rules of ARCHITECTURE.md that a program can check. Each is a function from files to violations, shown to hold for
 * the repository's files and to catch a made-up file that breaks it.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { filesUnder, root } from '../scripts/run.js';

/** A source file: its path from the package's folder, and its text. */
interface File {
  path: string;
  text: string;
}

type Rule = (files: readonly File[]) => string[];

/** The native layers, lowest first; each may include from itself and those before it. */
const LAYERS = ['kernels', 'network', 'runtime', 'estimators', 'measure', 'addon'] as const;
const MAX_LINES = 400;

function includes({ text }: File): string[] {
  return [...text.matchAll(/^\s*#\s*include\s*["<]([^">]+)[">]/gm)].map((match) => match[1]!);
}

const nativeLayersPointOneWay: Rule = (files) =>
  files.flatMap((file) => {
    const own = LAYERS.findIndex((layer) => file.path.startsWith(`native/${layer}/`));
    return includes(file)
      .filter((header) => LAYERS.findIndex((layer) => header.startsWith(`${layer}/`)) > own)
      .filter(() => own >= 0)
      .map((header) => `${file.path} includes ${header}`);
  });

/** Includes name their layer, or the rule above could be passed by with a relative path. */
const nativeIncludesNameTheirLayer: Rule = (files) =>
  files
    .filter(({ path }) => path.startsWith('native/'))
    .flatMap((file) =>
      [...file.text.matchAll(/^\s*#\s*include\s*"([^"]+)"/gm)]
        .map((match) => match[1]!)
        .filter((header) => !LAYERS.some((layer) => header.startsWith(`${layer}/`)))
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

const theLibraryDoesNotKnowTheCommand: Rule = (files) =>
  files
    .filter(({ path, text }) => /^lib\/(?!cli\/)/.test(path) && /from '[^']*\/cli\//.test(text))
    .map(({ path }) => `${path} imports from lib/cli`);

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

function sourcesAreListedOnce(files: readonly File[], listed: readonly string[]): string[] {
  const present = files.map(({ path }) => path).filter((path) => /^native\/.*\.cpp$/.test(path));
  return [
    ...present.filter((path) => !listed.includes(path)).map((path) => `${path} is not listed`),
    ...listed.filter((path) => !present.includes(path)).map((path) => `${path} does not exist`),
    ...listed.filter((path, i) => listed.indexOf(path) !== i).map((path) => `${path} is listed twice`),
  ];
}

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

const sources = JSON.parse(readFileSync(join(root, 'native/sources.json'), 'utf8')) as {
  core: string[];
  kernels: string[];
  addon: string[];
};
const folders = ['.ci', 'bench', 'docs', 'examples', 'experiments', 'lib', 'native', 'scripts', 'test'];
const all: File[] = [...folders.flatMap(filesUnder), ...readdirSync(root)]
  .filter((path) => /\.(ts|js|py|cpp|hpp|md|json|gyp|txt)$|^\.ci\//.test(path) && path !== 'package-lock.json')
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
const code = all.filter(({ path }) => /\.(ts|py|cpp|hpp)$/.test(path));

/** A file that includes headers, each given with its brackets or quotes. */
function including(path: string, ...headers: string[]): File {
  return { path, text: headers.map((header) => `#include ${header}\n`).join('') };
}

describe('architecture', () => {
  it('reads the files it checks', () => {
    for (const path of [
      'native/kernels/dispatch.cpp',
      'lib/native/addon.ts',
      'test/architecture.test.ts',
      'binding.gyp',
    ]) {
      assert.ok(
        all.some((file) => file.path === path),
        path,
      );
    }
  });

  const rules: { name: string; rule: Rule; files: readonly File[]; violation: File }[] = [
    {
      name: 'native layers include only themselves and those below',
      rule: nativeLayersPointOneWay,
      files: code,
      violation: including('native/network/pass.cpp', '"estimators/estimators.hpp"'),
    },
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
      name: 'the library does not import from the command',
      rule: theLibraryDoesNotKnowTheCommand,
      files: code,
      violation: { path: 'lib/data/cifar10.ts', text: "import { print } from '../cli/output.js';" },
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

  for (const { name, rule, files, violation } of rules) {
    it(name, () => {
      assert.deepEqual(rule(files), []);
    });

    it(`${name}: a violation is caught`, () => {
      const others = files.filter(({ path }) => path !== violation.path);
      assert.equal(rule([...others, violation]).length, 1);
    });
  }

  it('catches a listed source that does not exist, or is listed twice', () => {
    const file = { path: 'native/a.cpp', text: '' };
    assert.deepEqual(sourcesAreListedOnce([file], ['native/a.cpp', 'native/b.cpp']), ['native/b.cpp does not exist']);
    assert.deepEqual(sourcesAreListedOnce([file], ['native/a.cpp', 'native/a.cpp']), ['native/a.cpp is listed twice']);
  });
});
