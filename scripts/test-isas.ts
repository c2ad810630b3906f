/**
 * Runs the unit tests once on every instruction set that this build has and this processor can run, but for the best one,
 * on which they run anyway.
 *
 * @module
 */
import { native } from '../lib/native.js';
import { run, script } from './run.js';

for (const isa of native.supportedIsas.slice(1)) {
  console.log(`DEEPZERO_ISA=${isa}`);
  await script(() => {
    run('npx', ['mocha', '--reporter', 'dot', 'test/**/*.test.ts'], { env: { ...process.env, DEEPZERO_ISA: isa } });
  });
}
