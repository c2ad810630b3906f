/**
 * Runs the unit tests on every instruction set that this build has and this processor can run, except the best one, on
 * which they run anyway. Tests of the command, ranks, experiments, benchmarks and pages are left out: they reach the kernels only through
 * functions that the other tests cover.
 *
 * @module
 */
import { native } from '../lib/native/addon.js';
import { run, script } from './run.js';

const LEFT_OUT = [
  'cli/*',
  'ranks/*',
  'docs/*',
  'ui/*',
  'runs/*',
  'bench/*',
  'experiments/*',
  'examples',
  'index',
  'architecture',
].map((name) => `test/${name}.test.ts`);

for (const isa of native.supportedIsas.slice(1)) {
  console.log(`DEEPZERO_ISA=${isa}`);
  await script(() => {
    const tests = ['test/**/*.test.ts', ...LEFT_OUT.flatMap((file) => ['--exclude', file])];
    run('npx', ['mocha', '--reporter', 'dot', ...tests], { env: { ...process.env, DEEPZERO_ISA: isa } });
  });
}
