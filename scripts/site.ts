/**
 * `npm run docs`: the documentation as a site in build/site.
 *
 * @module
 */
import { join } from 'node:path';
import { root, script } from './run.js';
import { buildSite } from './site/build.js';

await script(async () => {
  const out = join(root, 'build/site');
  const problems = await buildSite(out);
  if (problems.length > 0) throw new Error(problems.join('\n'));
  console.log(`Open ${join(out, 'index.html')}`);
});
