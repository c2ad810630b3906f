/**
 * `--ui`: the page beside a run, served by another process, so that no browser can take time or memory from the run.
 *
 * @module
 */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { constants, setPriority } from 'node:os';

import { FileError, InvalidArgumentError } from '../../support/errors.js';

/** A page that another process serves. */
export interface PageBeside {
  readonly url: string;
  /** Lets the page show the last state, and ends it. */
  end(): void;
}

/**
 * Starts `deepzero ui` for the folder of a run. It ends with this process, however that ends.
 *
 * @throws InvalidArgumentError or FileError with the message of `deepzero ui` if that fails.
 */
export async function showBeside(folder: string, port: number | undefined): Promise<PageBeside> {
  const args = ['ui', '--json', ...(port === undefined ? [] : ['--port', String(port)]), '--', folder];
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // It is no rank of the run, and a terminal's Ctrl-C is the run's: the page shows how that stops.
    env: { ...process.env, DEEPZERO_RANKS: 'off' },
    detached: true,
  });
  const { url } = JSON.parse(await firstLine(child, folder)) as { url: string };
  // The run comes first wherever both want a processor.
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  for (const one of [child, child.channel, child.stdout, child.stderr])
    (one as { unref?: () => void } | null)?.unref?.();
  return {
    url,
    end: () => {
      if (child.connected) child.disconnect();
    },
  };
}

/** The first line of standard output. */
async function firstLine(child: ChildProcess, folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let [said, complaint] = ['', ''];
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      if (said.includes('\n')) resolve(said.slice(0, said.indexOf('\n')));
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (complaint = `${complaint}${text}`.slice(-2000)));
    child.on('error', reject);
    child.on('close', (code) => {
      const message =
        complaint
          .trimEnd()
          .split('\n')
          .at(-1)
          ?.replace(/^deepzero: /, '') ?? '';
      reject(code === 2 ? new InvalidArgumentError(message) : new FileError(folder, `cannot be shown: ${message}`));
    });
  });
}
