/**
 * What pages show as code: programs, files that they need, commands, and what those print.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { build, transform } from 'esbuild';
import { COMMAND } from '../helpers/command.js';
import { HANG_MS } from '../helpers/hang.js';
import { root } from '../../scripts/run.js';
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { Block, Page } from './pages.js';

/** Something that a page shows and that can be started, and what the page says that it prints. */
export interface Program {
  readonly kind: 'ts' | 'js' | 'sh';
  /** Of its file. */
  readonly name: string;
  readonly text: string;
  readonly prints: string | undefined;
}

export interface Shown {
  readonly programs: readonly Program[];
  /** Other blocks with a file's name after their language: what programs find in the page's folder. */
  readonly files: readonly { readonly name: string; readonly text: string }[];
  /** Blocks that are none of these, by language. */
  readonly others: readonly string[];
}

export function shownBy({ blocks }: Page): Shown {
  const programs: Program[] = [];
  const files: { name: string; text: string }[] = [];
  const others: string[] = [];
  for (const [i, { language, info, text }] of blocks.entries()) {
    const next: Block | undefined = blocks[i + 1];
    const prints = next?.language === 'text' ? next.text : undefined;
    if (language === 'ts' || language === 'js') {
      programs.push({ kind: language, name: info === '' ? `${i}.${language}` : info, text, prints });
    } else if (language === 'sh' && info === 'run') programs.push({ kind: language, name: `${i}.sh`, text, prints });
    else if (language === 'text') {
      if (!programs.some(({ prints: expected }) => expected === text)) others.push('text without a program');
    } else if (language !== 'sh' && info !== '') files.push({ name: info, text });
    else if (language !== 'sh') others.push(language);
  }
  return { programs, files, others };
}

/** Whether a text is what a page says; there `…` stands for anything, and as a line of its own for any lines. */
export function matches(printed: string, expected: string): boolean {
  const literal = expected
    .replace(/^…\n/gm, '…')
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literal.join('[^]*?')}$`).test(printed);
}

/** A folder in which programs find the package as users' do, and the command. */
export class Place {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(folder: string): Promise<Place> {
    const library = join(root, 'build/test/library.js');
    await build({
      ...{ entryPoints: [join(root, 'lib/index.ts')], outfile: library, bundle: true, packages: 'external' },
      ...{ platform: 'node', format: 'esm', target: 'node20' },
    });
    const own = join(folder, 'node_modules/deepzero');
    const bin = join(folder, 'bin');
    await mkdir(own, { recursive: true });
    await mkdir(bin);
    await writeFile(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
    await writeFile(join(own, 'package.json'), JSON.stringify({ type: 'module', exports: './library.js' }));
    await symlink(library, join(own, 'library.js'));
    await writeFile(join(bin, 'deepzero'), `#!/bin/sh\nexec ${COMMAND.map((word) => `'${word}'`).join(' ')} "$@"\n`);
    await writeFile(join(bin, 'npx'), '#!/bin/sh\nexec "$@"\n');
    for (const name of ['deepzero', 'npx']) await chmod(join(bin, name), 0o755);
    return new Place(folder);
  }

  /** Writes what a page shows into a folder of its own. @returns the folder. */
  async write(page: Page): Promise<string> {
    const { programs, files } = shownBy(page);
    const folder = join(this.#folder, page.path.replaceAll('/', '-'));
    await mkdir(folder);
    const paths = { compilerOptions: { paths: { deepzero: [join(root, 'lib/index.ts')] } } };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(paths));
    for (const { name, text } of [...files, ...programs]) await writeFile(join(folder, name), text);
    return folder;
  }

  /** Runs a program in the folder of its page. @returns what it prints. */
  async run({ kind, name, text }: Program, folder: string): Promise<string> {
    const path = `${join(this.#folder, 'bin')}${delimiter}${process.env['PATH']!}`;
    const settings = { cwd: folder, env: { ...process.env, PATH: path, npm_lifecycle_event: '' }, timeout: HANG_MS };
    if (kind === 'sh') return (await promisify(execFile)('sh', ['-e', name], settings)).stdout;
    const { code } = await transform(text, { loader: 'ts', target: 'node20', format: 'esm' });
    const file = `${name}.mjs`;
    await writeFile(join(folder, file), code);
    // A program that trains for as many steps as its first argument says makes one.
    return (await promisify(execFile)(process.execPath, [file, '1'], settings)).stdout;
  }
}

const SCRIPTS = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }).scripts;

/** The options that a command's help lists, by the command's words; undefined where there is no such command. */
const known = new Map<string, ReadonlySet<string> | undefined>();

function optionsOf(command: string): ReadonlySet<string> | undefined {
  if (known.has(command)) return known.get(command);
  const { status, stdout } = spawnSync(COMMAND[0], [COMMAND[1]!, ...command.split(' '), '--help'], {
    encoding: 'utf8',
    timeout: HANG_MS,
  });
  const listed = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option!);
  const options = status === 0 ? new Set(listed) : undefined;
  known.set(command, options);
  return options;
}

/** What is wrong with the commands that a page's shell blocks and `code` show: options and scripts that do not exist. */
export function wrongCommands({ path, text }: Page): string[] {
  const code = [
    ...[...text.matchAll(/^```sh[^\n]*\n(.*?)^```$/gms)].flatMap(([, block]) =>
      block!.replace(/\\\n/g, ' ').split('\n'),
    ),
    ...[...text.replace(/^```.*?^```$/gms, '').matchAll(/`([^`]+)`/g)].map(([, inline]) =>
      inline!.replace(/\s+/g, ' '),
    ),
  ].flatMap((line) => line.replace(/\s#.*$/, '').split(/&&|\|\||[;|]/));
  const problems: string[] = [];
  for (const line of code) {
    const [, command, rest = ''] = /(?:^|\s)deepzero ((?:data )?[a-z][a-z-]*)(.*)$/.exec(line) ?? [];
    for (const [option] of rest.matchAll(/(?<=\s)--[a-z][a-z-]*/g)) {
      if (!optionsOf(command!)?.has(option)) problems.push(`${path}: deepzero ${command} has no ${option}`);
    }
    const [, script] = /npm run (?:--silent )?([\w:]+)/.exec(line) ?? [];
    if (script !== undefined && !(script in SCRIPTS)) problems.push(`${path}: npm run ${script} does not exist`);
    const [, file] = /npx (?:tsx|mocha) ((?:bench|examples|test|experiments)\/[\w./-]+\.ts)/.exec(line) ?? [];
    if (file !== undefined && !existsSync(join(root, file))) problems.push(`${path}: ${file} does not exist`);
  }
  return problems;
}
