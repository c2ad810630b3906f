import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundlePage } from '../../lib/ui/bundle.js';
import type { Assets } from '../../lib/ui/html.js';
import { reportOf } from '../../lib/ui/report.js';
import { servePage } from '../../lib/ui/server.js';
import { Browser, findChromium } from '../helpers/chromium.js';
import { tunnelTo } from '../helpers/raw-http.js';
import { until } from '../helpers/resources.js';
import { appendSteps, writeRun } from '../helpers/run-folders.js';
import { withFolder } from '../helpers/tiny.js';

const EVIL = '<img src=x onerror="document.title=\'evil\'">';

/** Texts of a page, by a selector. */
async function texts(browser: Browser, selector: string): Promise<string[]> {
  const list = `[...document.querySelectorAll(${JSON.stringify(selector)})].filter((one) => one.checkVisibility())`;
  return (await browser.evaluate(`${list}.map((one) => one.innerText.trim())`)) as string[];
}

describe('a browser for tests', () => {
  it('says so when it does not start, or ends', async () => {
    await assert.rejects(Browser.start('/bin/false'), /Chromium has ended/);
    await assert.rejects(Browser.start('/bin/none'), /ENOENT/);
  });
});

describe('the page in a browser', function () {
  const path = findChromium();
  let assets: Assets;
  let browser: Browser;

  before(async function () {
    if (path === undefined) {
      console.log('      Chromium is not installed (apt-get install chromium): the page is not tested in it');
      this.skip();
    }
    assets = await bundlePage();
    browser = await Browser.start(path);
  });

  after(async () => {
    await (browser as Browser | undefined)?.[Symbol.asyncDispose]();
  });

  it('shows runs as they come and go on, and says when the server is gone', async () => {
    await withFolder(async (folder) => {
      const server = await servePage({ source: { folder }, assets });
      try {
        await browser.look({ width: 1200, height: 900 });
        await browser.open(server.url);
        await until(async () => (await texts(browser, 'main > .empty')).join().startsWith('No runs yet in '));
        await mkdir(join(folder, 'waiting'));
        await writeFile(join(folder, 'waiting', 'config.json'), JSON.stringify({ options: { lr: 0.3, name: EVIL } }));
        await writeRun(join(folder, EVIL.replaceAll('/', '')), { steps: 30, lr: 0.1 });
        await until(async () => (await texts(browser, '.runs tbody tr')).length === 2);
        assert.deepEqual((await texts(browser, '.runs .name')).sort(), [EVIL, 'waiting']);
        await until(async () => (await texts(browser, '.plot h3')).includes('Loss'));
        const titles = ['Loss', 'Accuracy', 'Learning rate', 'Speed', 'Gradient norm', 'Update norm'];
        assert.deepEqual(await texts(browser, '.plot h3'), titles);
        assert.equal((await texts(browser, '.layers tbody tr')).length, 8);
        assert.equal(await browser.evaluate('document.querySelectorAll(".mask canvas").length'), 8);
        // Live: the step and the loss's last value change.
        await appendSteps(join(folder, EVIL), 30, 31, { lr: 0.1 });
        await until(async () => (await texts(browser, '.runs td')).includes('31 of 4,000'));
        const isDrawn = `(() => { const canvas = document.querySelector('.plot canvas');
          return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0); })()`;
        assert.equal(await browser.evaluate(isDrawn), true);
        // By keyboard: the cursor of a plot, read aloud.
        await browser.evaluate('document.querySelector(".plot .frame").focus()');
        await browser.press('Home');
        await until(async () => (await texts(browser, '.readout'))[0]!.startsWith('step 0'));
        const live = '[...document.querySelectorAll(".readout")].map(({ ariaLive }) => ariaLive)';
        const expected = ['polite', ...Array.from({ length: 8 }, () => 'off')];
        assert.deepEqual(await browser.evaluate(live), expected, 'only the plot whose cursor moves is read aloud');
        const { role, name } = await browser.accessible('.frame');
        assert.equal(role, 'application');
        assert.match(name, /^Loss\. .* from [\d.]+ to [\d.]+, lowest .*arrow keys/);
        // What has the focus, and what is selected, stays while steps come.
        await browser.evaluate(`(() => {
          const details = document.querySelector('.plot details');
          details.open = true;
          getSelection().selectAllChildren(document.querySelector('.layers tbody th'));
        })()`);
        for (const [i, place] of ['.layers .scrolling', '.plot details .scrolling'].entries()) {
          await until(async () => (await browser.evaluate(`document.querySelector('${place}') !== null`)) === true);
          await browser.evaluate(`document.querySelector('${place}').focus()`);
          const values = `document.querySelector('${place} tbody').innerText`;
          const before = await browser.evaluate(values);
          await appendSteps(join(folder, EVIL), 31 + i, 32 + i, { lr: 0.1 });
          await until(async () => (await browser.evaluate(values)) !== before);
          assert.equal(await browser.evaluate(`document.activeElement === document.querySelector('${place}')`), true);
        }
        assert.equal(await browser.evaluate('String(getSelection())'), 'conv1.weight');
        assert.deepEqual(
          await browser.evaluate(live),
          Array.from({ length: 9 }, () => 'off'),
        );
        // The settings differ.
        assert.match((await texts(browser, 'section h3')).join(), /Different \(/);
        assert.deepEqual(browser.complaints, []);
        assert.equal(await browser.evaluate('document.title'), 'deepzero');
        await rm(join(folder, 'waiting'), { recursive: true });
        await until(async () => (await texts(browser, '.runs tbody tr')).length === 1);
      } finally {
        server.close();
      }
      await until(async () => (await texts(browser, '.connection')).join().startsWith('The server has ended'));
    });
  });

  it('tries again when the connection is lost, and goes on when it is back', async () => {
    await withFolder(async (folder) => {
      await writeRun(folder, { steps: 3, message: '</script><script>document.title="evil"</script><!--' });
      const server = await servePage({ source: { runs: [folder] }, assets });
      try {
        const tunnel = await tunnelTo(server.port);
        await browser.open(server.url.replace(String(server.port), String(tunnel.port)));
        await until(async () => (await texts(browser, '.connection')).join() === 'Live');
        tunnel.cut();
        await until(async () => (await texts(browser, '.connection')).join().startsWith('Connection lost'));
        await tunnel.restore();
        await until(async () => (await texts(browser, '.connection')).join() === 'Live');
        assert.equal((await texts(browser, '.runs tbody tr')).length, 1);
        tunnel.cut();
      } finally {
        server.close();
      }
    });
  });

  it('opens a report from a file, in light and dark, narrow, and printed', async () => {
    await withFolder(async (folder) => {
      const runs = ['a', 'b'].map((name) => join(folder, name));
      await writeRun(runs[0]!, { steps: 2500, state: 'finished', seed: 1 });
      await writeRun(runs[1]!, {
        steps: 400,
        state: 'failed',
        seed: 2,
        lr: 0.2,
        failed: 2,
        message: `</script>${EVIL}`,
      });
      const file = join(folder, 'report.html');
      await writeFile(file, await reportOf(runs, assets));
      browser.complaints.length = 0;
      for (const width of [1200, 360]) {
        for (const isDark of [false, true]) {
          await browser.look({ width, height: 800, isDark });
          await browser.open(pathToFileURL(file).href);
          assert.match((await texts(browser, '.connection')).join(), /^Report of \d{4}-.*, deepzero \d/);
          assert.equal((await texts(browser, '.plot h3')).length, 9);
          assert.ok((await texts(browser, '.runs .note')).includes(`</script>${EVIL}`));
          const isWide = 'document.documentElement.scrollWidth > innerWidth';
          assert.equal(await browser.evaluate(isWide), false, `${width} pixels are too few`);
          const colour = 'getComputedStyle(document.documentElement).backgroundColor';
          assert.equal(await browser.evaluate(colour), isDark ? 'rgb(16, 20, 27)' : 'rgb(247, 248, 250)');
        }
      }
      assert.ok((await browser.pdf()).subarray(0, 5).toString() === '%PDF-');
      assert.deepEqual(browser.complaints, []);
      assert.match(String(await browser.evaluate('document.title')), /^deepzero: a, b$/);
    });
  });
});
