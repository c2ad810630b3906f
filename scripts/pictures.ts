/**
 * Makes the pictures of the page and of a report in docs/pictures/, of runs with made-up numbers: `npx tsx scripts/pictures.ts`. It needs Chromium,
 * and pngquant to make them small.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { bundlePage } from '../lib/ui/bundle.js';
import { reportOf } from '../lib/ui/report.js';
import { servePage } from '../lib/ui/server.js';
import { Browser, findChromium } from '../test/helpers/chromium.js';
import { until } from '../test/helpers/resources.js';
import { writeRun } from '../test/helpers/run-folders.js';
import { root, script } from './run.js';

const LOOKS = {
  light: { width: 1280, height: 800 },
  dark: { width: 1280, height: 800, isDark: true },
  narrow: { width: 390, height: 844 },
};

/** Pixels above what a picture begins with. */
const MARGIN = 20;

await script(async () => {
  const chromium = findChromium();
  if (chromium === undefined) throw new Error('Expected Chromium to be installed: apt-get install chromium');
  const folder = mkdtempSync(join(tmpdir(), 'deepzero-pictures-'));
  const runs = ['resnet20-cifar10-1', 'resnet20-cifar10-2', 'chip-1'].map((name) => join(folder, name));
  try {
    await writeRun(runs[1]!, { steps: 4000, seed: 2, lr: 0.05, state: 'finished' });
    await writeRun(runs[2]!, { steps: 900, seed: 3, lr: 0.2, state: 'stopped', failed: 3 });
    const assets = await bundlePage();
    const report = join(folder, 'report.html');
    const server = await servePage({ source: { runs }, assets, port: 0 });
    mkdirSync(join(root, 'docs/pictures'), { recursive: true });
    await using browser = await Browser.start(chromium);
    for (const [name, look] of Object.entries(LOOKS)) {
      await browser.look(look);
      // A run that wrote nothing for a while would count as killed.
      await writeRun(runs[0]!, { steps: 1800, seed: 1, started: Date.now() - 2400 * 1800 });
      writeFileSync(report, await reportOf(runs, assets));
      await photograph(browser, server.url, 'body', `page-${name}`);
      await photograph(browser, pathToFileURL(report).href, 'section:has(.layers)', `report-${name}`);
    }
    server.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** Takes a picture of a page from an element on. */
async function photograph(browser: Browser, url: string, selector: string, name: string): Promise<void> {
  await browser.open(url);
  await until(async () => (await browser.evaluate('document.querySelectorAll(".mask canvas").length')) !== 0);
  await browser.evaluate(
    `scrollTo(0, scrollY + document.querySelector('${selector}').getBoundingClientRect().top - ${MARGIN})`,
  );
  const picture = join(root, 'docs/pictures', `${name}.png`);
  writeFileSync(picture, await browser.picture(false));
  const { status } = spawnSync('pngquant', ['--force', '--ext', '.png', '--quality', '60-90', picture]);
  if (status !== 0) console.log(`${name}.png is not made smaller: pngquant is missing, or failed`);
}
