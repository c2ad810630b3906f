/**
 * `deepzero ui`: a page that shows runs while they train.
 *
 * @module
 */
import { hostname } from 'node:os';

import { loadAssets } from '../../ui/assets.js';
import { servePage } from '../../ui/server.js';
import type { Command } from '../command.js';
import { command } from '../command.js';
import { counted } from '../output.js';
import { checkRuns, portOption, RUNS } from './options.js';

const NOTES =
  'The page shows loss, accuracy, learning rate and speed, the gradient and the mask of each layer, and settings side by side, while ' +
  'runs go on and afterwards. It is served to browsers of this machine alone, at an address that holds a random token; whoever has ' +
  'the address sees the runs. Over ssh, ssh -L 8017:127.0.0.1:8017 HOST makes it reachable from your machine. Runs are only read. ' +
  'With --json, the object is printed as soon as the page can be opened. Ctrl-C ends it.';

export const ui: Command = command({
  name: 'ui',
  summary: 'Shows runs in the browser, live.',
  operands: ['[RUN...]'],
  notes: NOTES,
  options: { port: portOption },
  async run({ port }, { operands: runs, output, signal }) {
    await checkRuns(runs);
    const source = runs.length > 0 ? { runs } : { folder: RUNS };
    const server = await servePage({ source, port, assets: await loadAssets() });
    const end = (): void => {
      server.close();
      if (process.connected) process.disconnect();
    };
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
    // The run that started this command has ended: its last step belongs on the pages.
    process.once('disconnect', () => void server.finish().finally(end));
    const what = runs.length > 0 ? counted(runs.length, 'run') : `the runs in ${RUNS}/`;
    output.line(`Showing ${what} at\n  ${server.url}`);
    output.line(`From another machine: ssh -L ${server.port}:127.0.0.1:${server.port} ${hostname()}. Ctrl-C ends it.`);
    return { url: server.url, port: server.port, runs: runs.length > 0 ? runs : RUNS };
  },
});
