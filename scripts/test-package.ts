/**
 * Packs the package, installs it in empty folders as consumers would, and uses it there: by its prebuilt addon, on every line of
 * Node, where there is no compiler; and built by its install script, through node-gyp.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NODE_VERSIONS, nodeBinary } from './nodes.js';
import { failToInstall, installFromSource, installPrebuilt } from './package/consumer.js';
import { pack, withPrebuild } from './package/pack.js';
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

/** A few steps, on any version of Node. */
const TRAINING = `
import { cge, cnn, Model, sgd, synthetic, train } from 'deepzero';

const model = new Model(cnn({ depth: 1 }), { seed: 1, threads: 2 });
const { train: images } = synthetic({ seed: 1, train: 64, test: 8 });
const options = { estimator: cge({ mu: 5e-3 }), optimizer: sgd({ lr: 0.1 }), steps: 3, batchSize: 32, seed: 1 };
const losses = [];
for await (const { loss } of train(model, images, options)) losses.push(loss);
console.log(losses.join(' '));
`;

const folder = mkdtempSync(join(tmpdir(), 'deepzero-package-'));
const subfolder = (name: string): string => join(folder, name);

await script(() => {
  try {
    mkdirSync(subfolder('packed'));
    mkdirSync(subfolder('unpacked'));
    const tarball = pack(subfolder('packed'));
    const prebuilt = withPrebuild(tarball, subfolder('unpacked'));
    trainOnEveryNode(prebuilt);
    if (prebuilt !== tarball) checkRefusal(failToInstall(subfolder('refused'), tarball));
    const built = subfolder('built');
    installFromSource(built, tarball);
    use(built);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

function trainOnEveryNode(tarball: string): void {
  const printed = new Map<string, string>();
  for (const version of NODE_VERSIONS) {
    const node = nodeBinary(version);
    const consumer = subfolder(`node-${version}`);
    const seconds = installPrebuilt(consumer, tarball, node);
    writeFileSync(join(consumer, 'train.js'), TRAINING);
    const losses = outputOf(node, ['train.js'], { cwd: consumer }).trim();
    printed.set(version, losses);
    console.log(`Node ${version}: installed without a compiler in ${seconds.toFixed(1)} s, trained: ${losses}`);
    if (!/^\d\S* \d\S* \d\S*$/.test(losses)) throw new Error('Expected three losses');
  }
  if (new Set(printed.values()).size !== 1) throw new Error('Expected the same losses on every version of Node');
}

/** The last words of an install that cannot succeed say what is missing and what to type. */
function checkRefusal(printed: string): void {
  const [said] = /deepzero's native addon did not load: .*/.exec(printed) ?? [];
  console.log(`without an addon or a compiler: ${said}`);
  const wanted =
    /could not be built\. Build it after ".+" \(missing: a C\+\+ compiler, make, python3\): install deepzero again/;
  if (said === undefined || !wanted.test(said))
    throw new Error(`Expected a message about the missing tools:\n${printed}`);
}

function use(consumer: string): void {
  const cli = outputOf(join(consumer, 'node_modules/.bin/deepzero'), ['info', '--json'], { cwd: consumer });
  const info = JSON.parse(cli.trim().split('\n').at(-1) ?? '') as { version: string };
  console.log(`deepzero info --json: ${JSON.stringify(info)}`);

  writeFileSync(join(consumer, 'consumer.ts'), CONSUMER);
  symlinkSync(join(root, 'node_modules/@types'), join(consumer, 'node_modules/@types'));
  // No --lib: what the declarations need beyond the target's own they must bring themselves.
  const target = ['--target', 'es2022', '--module', 'nodenext', '--types', 'node'];
  run(join(root, 'node_modules/.bin/tsc'), ['--strict', ...target, 'consumer.ts'], { cwd: consumer });
  const printed = outputOf('node', ['consumer.js'], { cwd: consumer });
  const estimate = JSON.parse(printed) as { loss: number; queries: number; finite: boolean; length: number };
  console.log(`an estimate: ${printed.trim()}`);
  if (!(estimate.loss > 0 && estimate.queries === 731 && estimate.finite && estimate.length === 730)) {
    throw new Error('Expected 731 queries and 730 finite entries from CGE on the CNN of depth 1');
  }

  const examples = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/```js\n(.*?)```/gs)];
  if (examples.length !== 2) throw new Error(`Expected two examples in README.md, found ${examples.length}`);
  for (const [, example] of examples) {
    writeFileSync(join(consumer, 'example.mjs'), example!);
    run('node', ['example.mjs', '1'], { cwd: consumer });
  }
}
