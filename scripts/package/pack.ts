/**
 * The tarball: what is in it, and what tools for packages say of it.
 *
 * @module
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { outputOf, root, run } from '../run.js';

const PREBUILD = `prebuilds/${process.platform}-${process.arch}/deepzero${process.platform === 'linux' ? '.glibc' : ''}.node`;

/** Paths in the package, without `package/`. */
const EXPECTED = [
  String.raw`dist/.*\.(js|css|d\.ts)`,
  String.raw`native/.*\.(cpp|h|hpp|json)`,
  String.raw`prebuilds/\w+-\w+/deepzero(\.glibc)?\.node`,
  String.raw`docs/.*\.md`,
  String.raw`docs/results/[^/]+/[^/]+\.svg`,
  String.raw`docs/results/functions/functions\.json`,
  String.raw`docs/figures/[^/]+\.svg`,
  String.raw`docs/pictures/[^/]+\.png`,
  String.raw`examples/.*\.(ts|py|md)`,
  String.raw`binding\.gyp`,
  String.raw`scripts/install\.js`,
  String.raw`[A-Za-z]+\.(md|json)`,
  'LICENSE',
];

/** Packs the package into a folder, checks the tarball, and returns its path. */
export function pack(folder: string): string {
  outputOf('npm', ['pack', '--silent', '--pack-destination', folder]);
  const [name, ...others] = readdirSync(folder);
  if (name === undefined || others.length > 0) throw new Error('Expected npm pack to write one file');
  const tarball = join(folder, name);
  const files = filesOf(tarball);
  const expected = new RegExp(`^(${EXPECTED.join('|')})$`);
  const stray = files.filter((file) => !expected.test(file));
  if (stray.length > 0) throw new Error(`Expected the package not to hold ${stray.join(', ')}`);
  for (const page of ['README.md', 'docs/RESULTS.md', 'docs/black-box-results.md']) {
    const linked = [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!http)([^)#]+)/g)].map(([, to]) => to!);
    const missing = linked.filter((to) => !files.some((file) => file.startsWith(join(dirname(page), to))));
    if (missing.length > 0)
      throw new Error(`Expected the package to hold what ${page} links to: ${missing.join(', ')}`);
  }
  run(join(root, 'node_modules/.bin/publint'), ['run', '--strict', tarball]);
  run(join(root, 'node_modules/.bin/attw'), ['--profile', 'esm-only', '--format', 'ascii', tarball]);
  describe(tarball);
  return tarball;
}

/** The tarball with a prebuilt addon for this machine: itself if it has one, or else with the one that was built here. */
export function withPrebuild(tarball: string, folder: string): string {
  if (filesOf(tarball).includes(PREBUILD)) return tarball;
  outputOf('tar', ['-xzf', tarball, '-C', folder]);
  const file = join(folder, 'package', PREBUILD);
  mkdirSync(dirname(file), { recursive: true });
  const built = join(root, 'build/Release/deepzero.node');
  if (!existsSync(built)) throw new Error('Expected the addon to be built: npm run build:native');
  copyFileSync(built, file);
  const added = join(folder, 'deepzero.tgz');
  outputOf('tar', ['-czf', added, '-C', folder, 'package']);
  describe(added);
  return added;
}

function filesOf(tarball: string): string[] {
  return outputOf('tar', ['-tzf', tarball])
    .split('\n')
    .filter((file) => file !== '' && !file.endsWith('/'))
    .map((file) => file.replace(/^package\//, ''));
}

function describe(tarball: string): void {
  const files = filesOf(tarball);
  const addons = files.filter((file) => file.startsWith('prebuilds/'));
  const megabytes = (statSync(tarball).size / 1e6).toFixed(2);
  console.log(`the tarball: ${megabytes} MB, ${files.length} files; ${addons.join(', ') || 'no prebuilt addons'}`);
}
