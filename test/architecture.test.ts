/**
 * The rules of ARCHITECTURE.md that a program can check. Each is a function from files to violations, shown to hold for
 * the repository's files and to catch a made-up file that breaks it.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { LAYER_RULES, noCircles } from './architecture/layers.js';
import { NATIVE_RULES, sourcesAreListedOnce } from './architecture/native.js';
import { all } from './architecture/rules.js';
import { TEXT_RULES } from './architecture/texts.js';
import { WORD_RULES } from './architecture/words.js';

describe('architecture', () => {
  it('reads the files it checks', () => {
    for (const path of [
      'native/kernels/dispatch.cpp',
      'lib/native/addon.ts',
      'test/architecture.test.ts',
      'binding.gyp',
    ]) {
      assert.ok(
        all.some((file) => file.path === path),
        path,
      );
    }
  });

  for (const { name, rule, files, violation } of [...LAYER_RULES, ...NATIVE_RULES, ...TEXT_RULES, ...WORD_RULES]) {
    it(name, () => {
      assert.deepEqual(rule(files), []);
    });

    it(`${name}: a violation is caught`, () => {
      const added = [violation].flat();
      const others = files.filter(({ path }) => added.every((file) => file.path !== path));
      const before = new Set(rule(others));
      assert.equal(rule([...others, ...added]).filter((line) => !before.has(line)).length, 1);
    });
  }

  it('catches a listed source that does not exist, or is listed twice', () => {
    const file = { path: 'native/a.cpp', text: '' };
    assert.deepEqual(sourcesAreListedOnce([file], ['native/a.cpp', 'native/b.cpp']), ['native/b.cpp does not exist']);
    assert.deepEqual(sourcesAreListedOnce([file], ['native/a.cpp', 'native/a.cpp']), ['native/a.cpp is listed twice']);
  });

  it('catches a circle of several files', () => {
    const importing = (path: string, other: string) => ({ path, text: `import type { A } from '${other}';` });
    const files = [
      importing('lib/a.ts', './b.js'),
      importing('lib/b.ts', './c/d.js'),
      importing('lib/c/d.ts', '../a.js'),
    ];
    assert.deepEqual(noCircles(files), ['lib/a.ts > lib/b.ts > lib/c/d.ts > lib/a.ts']);
    assert.deepEqual(noCircles(files.slice(1)), []);
  });
});
