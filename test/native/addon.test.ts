/**
 * Loading the addon.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { outputOf } from '../../scripts/run.js';

describe('the loader of the addon', () => {
  it('says how to build a missing addon with npm and with pnpm', () => {
    const module = `
      const { native } = await import('./lib/native/addon.ts');
      try { native.isa } catch (error) { console.log(error.message) }`;
    const args = ['--import', 'tsx', '--input-type=module', '-e', module];
    // node-gyp-build then looks for prebuilt addons alone, and there are none.
    const message = outputOf(process.execPath, args, { env: { ...process.env, PREBUILDS_ONLY: '1' } });
    assert.match(
      message,
      /^deepzero's native addon did not load: No native build was found for platform=linux .*C\+\+17/,
    );
    for (const command of [
      'npm install-scripts approve deepzero',
      'npm rebuild deepzero',
      'pnpm approve-builds',
      'pnpm rebuild deepzero',
    ]) {
      assert.ok(message.includes(`"${command}"`), `${command} is not in ${message}`);
    }
  });
});
