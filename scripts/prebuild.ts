/**
 * Makes the prebuilt addons of the package, `prebuilds/linux-x64/deepzero.glibc.node` and the same for arm64, with Debian
 * 11's compilers.
 *
 *     tsx scripts/prebuild.ts [x64] [arm64]      both by default; as root, on Linux x64
 *
 * @module
 */
import { statSync } from 'node:fs';
import { prebuild } from './prebuild/build.js';
import { ARCHITECTURES } from './prebuild/debian11.js';
import { script } from './run.js';

await script(() => {
  const chosen = process.argv.slice(2);
  const unknown = chosen.find((name) => !ARCHITECTURES.some((architecture) => architecture === name));
  if (unknown !== undefined) throw new Error(`Expected one of ${ARCHITECTURES.join(', ')}, received "${unknown}"`);
  for (const architecture of ARCHITECTURES) {
    if (chosen.length > 0 && !chosen.includes(architecture)) continue;
    const { file, needs } = prebuild(architecture);
    console.log(`${file}: ${(statSync(file).size / 1e6).toFixed(1)} MB, needs ${needs.join(', ')}`);
  }
});
