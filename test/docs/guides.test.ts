import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import { root } from '../../scripts/run.js';
import { withFolder } from '../helpers/tiny.js';

/** A block of TypeScript that is a program, and what the page says that it prints. */
interface Program {
  /** Of its file. */
  readonly name: string;
  readonly text: string;
  readonly prints: string | undefined;
}

interface Page {
  readonly programs: readonly Program[];
  /** Other blocks with a file's name after their language: what programs find in the page's folder. */
  readonly files: readonly { readonly name: string; readonly text: string }[];
}

function read(markdown: string): Page {
  const blocks = [...markdown.matchAll(/^```(\w*)(?: (\S+))?\n(.*?)^```$/gms)];
  const programs = blocks.flatMap(([, language, name, text], i): Program[] => {
    if (language !== 'ts') return [];
    const [, next, , prints] = blocks[i + 1] ?? [];
    return [{ name: name ?? `${i}.ts`, text: text!, prints: next === 'text' ? prints : undefined }];
  });
  const files = blocks.flatMap(([, language, name, text]) =>
    name === undefined || language === 'ts' ? [] : [{ name, text: text! }],
  );
  return { programs, files };
}

/** What TypeScript finds wrong in files, as a consumer with `strict` would see it. */
function mistakes(files: readonly string[]): string[] {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    module: ts.ModuleKind.Node20,
    typeRoots: [join(root, 'node_modules/@types')],
    types: ['node'],
    paths: { deepzero: [join(root, 'lib/index.ts')] },
  };
  const program = ts.createProgram(files, options);
  return files
    .flatMap((file) => ts.getPreEmitDiagnostics(program, program.getSourceFile(file)))
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
}

const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const MANIFEST = JSON.stringify({ private: true, type: 'module' });
const PATHS = JSON.stringify({ compilerOptions: { paths: { deepzero: [join(root, 'lib/index.ts')] } } });

describe('the guides', () => {
  const folder = join(root, 'docs/guides');

  it('run, are typed, and print what they say', async () => {
    const pages = (await readdir(folder)).filter((name) => name.endsWith('.md'));
    assert.ok(pages.length >= 2);
    await withFolder(async (temporary) => {
      const places: (Program & { place: string })[] = [];
      await writeFile(join(temporary, 'package.json'), MANIFEST);
      for (const name of pages) {
        const { programs, files } = read(await readFile(join(folder, name), 'utf8'));
        assert.ok(programs.length > 0, `${name} has no program`);
        const own = join(temporary, name);
        await mkdir(own);
        await writeFile(join(own, 'tsconfig.json'), PATHS);
        for (const file of [...files, ...programs]) await writeFile(join(own, file.name), file.text);
        for (const program of programs) {
          const place = join(own, program.name);
          places.push({ ...program, place });
        }
      }
      assert.deepEqual(mistakes(places.map(({ place }) => place)), []);
      for (const { name, place, prints } of places) {
        const { stdout } = await promisify(execFile)(process.execPath, ['--import', TSX, place], {
          cwd: dirname(place),
        });
        if (prints !== undefined) assert.equal(stdout, prints, name);
      }
    });
  });
});
