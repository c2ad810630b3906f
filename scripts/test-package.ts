/**
 * Packs the package, installs it in an empty folder as a consumer would, through node-gyp, and uses it there.
 *
 * @module
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { outputOf, root, run, script } from './run.js';

/** What a consumer writes; the types must hold as well as the values. */
const CONSUMER = `
import { cge, cnn, Model, synthetic, type Reals } from 'deepzero';

using model = new Model(cnn({ depth: 1 }), { seed: 1 });
const { train } = synthetic({ seed: 1, train: 8, test: 8 });
const batch = train.batch(Uint32Array.of(0, 1, 2, 3));
const estimator = cge({ mu: 5e-3 });
const { loss, gradient, queries }: { loss: number; gradient: Reals; queries: number } = await estimator.estimate(
  model, batch, { seed: 1, step: 0, epoch: 0 },
);
console.log(JSON.stringify({ loss, queries, finite: gradient.every(Number.isFinite), length: gradient.length }));
`;

const folder = mkdtempSync(join(tmpdir(), 'deepzero-package-'));

await script(() => {
  try {
    const tarball = pack();
    install(tarball);
    use();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function pack(): string {
  outputOf('npm', ['pack', '--silent', '--pack-destination', folder]);
  const [tarball, ...others] = readdirSync(folder);
  if (tarball === undefined || others.length > 0) throw new Error('Expected npm pack to write one file');
  const files = outputOf('tar', ['-tzf', join(folder, tarball)]).split('\n');
  const stray = files.filter(
    (file) =>
      !/^$|^package\/(dist\/.*\.(js|css|d\.ts)|native\/.*\.(cpp|h|hpp|json)|docs\/.*\.md|docs\/results\/[^/]+\/[^/]+\.(jsonl?|svg)|docs\/figures\/[^/]+\.svg|docs\/pictures\/[^/]+\.png|examples\/.*\.(ts|py|md)|binding\.gyp|[A-Za-z]+\.(md|json)|LICENSE)$/.test(
        file,
      ),
  );
  if (stray.length > 0) throw new Error(`Expected the package not to hold ${stray.join(', ')}`);
  for (const page of ['README.md', 'docs/RESULTS.md']) {
    const linked = [...readFileSync(join(root, page), 'utf8').matchAll(/\]\((?!http)([^)]+)\)/g)].map(([, to]) => to!);
    const missing = linked.filter((to) => !files.some((file) => file.startsWith(join('package', dirname(page), to))));
    if (missing.length > 0)
      throw new Error(`Expected the package to hold what ${page} links to: ${missing.join(', ')}`);
  }
  return tarball;
}

function install(tarball: string): void {
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  outputOf('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${tarball}`], { cwd: folder });
  const installed = readdirSync(join(folder, 'node_modules'))
    .filter((name) => !name.startsWith('.'))
    .sort();
  if (installed.join() !== 'commander,deepzero,node-addon-api,node-gyp-build,valibot') {
    throw new Error(`Expected a consumer to get no other packages, found ${installed.join(', ')}`);
  }
  if (!existsSync(join(folder, 'node_modules/deepzero/build/config.gypi'))) {
    throw new Error('Expected the install script to have built the addon through node-gyp');
  }
}

function use(): void {
  const cli = outputOf(join(folder, 'node_modules/.bin/deepzero'), ['info', '--json'], { cwd: folder });
  const info = JSON.parse(cli.trim().split('\n').at(-1) ?? '') as { version: string };
  console.log(`deepzero info --json: ${JSON.stringify(info)}`);

  writeFileSync(join(folder, 'consumer.ts'), CONSUMER);
  symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'));
  // No --lib: what the declarations need beyond the target's own they must bring themselves.
  const target = ['--target', 'es2022', '--module', 'nodenext', '--types', 'node'];
  run(join(root, 'node_modules/.bin/tsc'), ['--strict', ...target, 'consumer.ts'], { cwd: folder });
  const printed = outputOf('node', ['consumer.js'], { cwd: folder });
  const estimate = JSON.parse(printed) as { loss: number; queries: number; finite: boolean; length: number };
  console.log(`an estimate: ${printed.trim()}`);
  if (!(estimate.loss > 0 && estimate.queries === 731 && estimate.finite && estimate.length === 730)) {
    throw new Error('Expected 731 queries and 730 finite entries from CGE on the CNN of depth 1');
  }

  const examples = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/```js\n(.*?)```/gs)];
  if (examples.length !== 2) throw new Error(`Expected two examples in README.md, found ${examples.length}`);
  for (const [, example] of examples) {
    writeFileSync(join(folder, 'example.mjs'), example!);
    run('node', ['example.mjs', '1'], { cwd: folder });
  }
}
