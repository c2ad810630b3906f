/**
 * Writes the page's program and style into a folder: `tsx scripts/build-page.ts build/dist/ui`.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundlePage } from '../lib/ui/bundle.js';
import { root, script as run } from './run.js';

await run(async () => {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new Error('Expected tsx scripts/build-page.ts FOLDER');
  const { script, style } = await bundlePage();
  writeFileSync(join(root, folder, 'page.js'), script);
  writeFileSync(join(root, folder, 'page.css'), style);
});
