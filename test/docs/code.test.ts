/**
 * Every block of code of every page is run or checked, and every example of a docstring is type-checked.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { filesUnder, root } from '../../scripts/run.js';
import { withFolder } from '../helpers/tiny.js';
import { EXAMPLES, examplesIn, moduleOf } from './docstrings.js';
import { PAGES, pageOf } from './pages.js';
import { matches, Place, shownBy, wrongCommands } from './programs.js';

const LIBRARY = join(root, 'lib/index.ts');

const OPTIONS: ts.CompilerOptions = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
  module: ts.ModuleKind.Node20,
  typeRoots: [join(root, 'node_modules/@types')],
  types: ['node'],
  paths: { deepzero: [LIBRARY] },
};

/** What TypeScript finds wrong in files, as a consumer with `strict` would see it. */
function mistakes(program: ts.Program, files: readonly string[]): string[] {
  return files
    .flatMap((file) => ts.getPreEmitDiagnostics(program, program.getSourceFile(file)))
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
}

describe('the code of the pages', () => {
  // README's two programs are run by scripts/test-package.ts, where the package is installed.
  const pages = PAGES.filter(({ path }) => path.startsWith('docs/'));

  it('is all run, or checked', () => {
    const unknown = pages.flatMap((page) => shownBy(page).others.map((other) => `${page.path} ${other}`));
    assert.deepEqual(
      // test/docs/protocol.test.ts reads these.
      unknown.filter((one) => !/^docs\/protocol\.md (json|python)/.test(one)),
      [],
    );
  });

  it('names options, scripts and files that exist', () => {
    assert.deepEqual(
      PAGES.flatMap((page) => wrongCommands(page)),
      [],
    );
  });

  it('quotes messages that exist', () => {
    const sources = filesUnder('lib').map((path) => readFileSync(join(root, path), 'utf8'));
    const { text } = PAGES.find(({ path }) => path === 'docs/troubleshooting.md')!;
    const quoted = [...text.matchAll(/^\| [^|]*`([^`|]* [^`|]*)`[^|]*\|/gm)].map(([, message]) => message!);
    const parts = quoted
      // Those of node and of the command's output are not the library's.
      .filter((message) => !/^(Cannot use import|deepzero) /.test(message))
      .flatMap((message) => message.split('…'))
      .map((part) =>
        part
          .replace(/^: |^At step /, '')
          .replace(/^Expected \w+ to be /, '')
          .trim(),
      )
      .filter((part) => part.length > 9);
    assert.ok(parts.length > 10);
    assert.deepEqual(
      parts.filter((part) => !sources.some((source) => source.includes(part))),
      [],
    );
  });

  it('that is wrong is caught', () => {
    const wrong = pageOf(
      'wrong.md',
      '```sh\nmpirun -n 2 deepzero train --momentun 1\ndeepzero ran --x\n```\n`npm run no`, `npx tsx bench/no.ts`\n```rust\n```\n```text\nno\n```\n',
    );
    assert.deepEqual(wrongCommands(wrong), [
      'wrong.md: deepzero train has no --momentun',
      'wrong.md: deepzero ran has no --x',
      'wrong.md: npm run no does not exist',
      'wrong.md: bench/no.ts does not exist',
    ]);
    assert.deepEqual(shownBy(wrong).others, ['rust', 'text without a program']);
    assert.ok(matches('a 12 b', 'a … b') && !matches('a 12 c', 'a … b') && !matches('axb', 'a.b'));
    const [example] = examplesIn('x.ts', '/** @example cge({ mu: 1 }).no */ export const cge = 1;');
    assert.match(moduleOf(example!), /import \{ cge \} from 'deepzero';[^]*cge\(\{ mu: 1 \}\)\.no/);
  });

  it('is typed, runs, and prints what they say', async () => {
    await withFolder(async (temporary) => {
      const place = await Place.make(temporary);
      const folders = new Map<string, string>();
      const typed: string[] = [];
      for (const page of pages) {
        const folder = await place.write(page);
        folders.set(page.path, folder);
        typed.push(...shownBy(page).programs.flatMap(({ kind, name }) => (kind === 'ts' ? [join(folder, name)] : [])));
      }
      const examples = join(temporary, 'examples');
      await mkdir(examples);
      await writeFile(join(examples, 'package.json'), '{ "type": "module" }');
      for (const [i, example] of EXAMPLES.entries()) {
        const file = join(examples, `${i}-${example.name}.ts`);
        await writeFile(file, moduleOf(example));
        typed.push(file);
      }
      const program = ts.createProgram([LIBRARY, ...typed], OPTIONS);
      assert.deepEqual(mistakes(program, typed), []);
      const wrong: string[] = [];
      for (const page of pages) {
        for (const program of shownBy(page).programs) {
          const printed = await place.run(program, folders.get(page.path)!);
          const { name, prints } = program;
          if (prints !== undefined && !matches(printed, prints)) wrong.push(`${page.path} ${name} prints\n${printed}`);
        }
      }
      assert.deepEqual(wrong, []);
    });
  });
});
