/**
 * The site can be built, nothing in it is undocumented, and links lead somewhere.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildSite } from '../../scripts/site/build.js';
import { deadLinks, deadLinksOfSite } from '../../scripts/site/links.js';
import { API, PAGES as SITE } from '../../scripts/site/pages.js';
import { root } from '../../scripts/run.js';
import { withFolder } from '../helpers/tiny.js';
import { PAGES } from './pages.js';

describe('the documentation', () => {
  it('has no dead link', () => {
    const dead = PAGES.flatMap(({ path, text }) =>
      deadLinks(join(root, path), text).map((target) => `${path} links to ${target}`),
    );
    assert.deepEqual(dead, []);
  });

  it('has every page in the site', () => {
    const listed = Object.values(SITE)
      .flat()
      .map(({ file }) => file);
    assert.deepEqual([...listed, 'README.md'].sort(), PAGES.map(({ path }) => path).sort());
  });

  it('builds, with every export under a heading', async () => {
    await withFolder(async (folder) => {
      assert.deepEqual(await buildSite(folder, { colours: false }), []);
      const index = readFileSync(join(folder, 'modules.html'), 'utf8');
      for (const title of Object.keys({ ...SITE, ...API })) assert.ok(index.includes(title), title);
    });
  });

  it('does not hide a link that is wrong', async () => {
    const text =
      '# A b `c`\n[x](#a-b-c) [y](#a-c) [z](nowhere.md) [w](README.md#no) `[v](v.md)` [u](https://example.com/)\n';
    assert.deepEqual(deadLinks(join(root, 'page.md'), text), ['#a-c', 'nowhere.md', 'README.md#no']);
    await withFolder(async (folder) => {
      await writeFile(join(folder, 'a.html'), '<a class="x" href="b.html#c">b</a><img src="no.svg"><a href="#d">d</a>');
      await writeFile(join(folder, 'b.html'), '<h2 id="c"></h2><a href="a.html">a</a>');
      assert.deepEqual(deadLinksOfSite(folder), ['a.html links to no.svg', 'a.html links to #d']);
    });
  });
});
