/**
 * Puts the addon that cmake-js built where node-gyp's would be, so that everything loads it.
 *
 * @module
 */
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run.js';

const folder = join(root, 'build/Release');
mkdirSync(folder, { recursive: true });
// Renamed into place: overwriting the file would pull it from under processes that have it loaded.
const temporary = join(folder, `deepzero-${process.pid}.tmp`);
copyFileSync(join(root, 'build/cmake/Release/deepzero.node'), temporary);
renameSync(temporary, join(folder, 'deepzero.node'));
