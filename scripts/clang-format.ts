/**
 * Runs clang-format with the given arguments over all C and C++ files. Versions differ in what they call formatted, so only the
 * one that the files are kept with is used; where it is not installed, this says so and fails nothing.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { filesUnder, run, script } from './run.js';

const VERSION = 14;

await script(() => {
  const program = [`clang-format-${VERSION}`, 'clang-format'].find((name) =>
    String(spawnSync(name, ['--version']).stdout).includes(`version ${VERSION}.`),
  );
  if (program === undefined) {
    console.log(`NOT CHECKED: the formatting of C++, for want of clang-format ${VERSION}`);
    return;
  }
  const files = [...filesUnder('native'), ...filesUnder('test/native'), ...filesUnder('experiments')].filter((file) =>
    /\.[ch](pp)?$/.test(file),
  );
  run(program, [...process.argv.slice(2), ...files]);
});
