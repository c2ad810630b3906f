import * as v from 'valibot';

import { checked, integer, leaf, list, oneOf, parseOptions, string } from '../support/schema.js';
import type { Box } from './box.js';
import { Client } from './client.js';
import { Messages, SENDS } from './messages.js';
import { poolBox } from './pool.js';

const texts = leaf<Readonly<Record<string, string>>>('other', 'an object of strings', (value) => {
  return typeof value === 'object' && value !== null && Object.values(value).every((text) => typeof text === 'string');
});

export const processBoxOptions = v.strictObject({
  /** Processes at a time, unless `minimize` has the option `parallel`: an integer >= 1; default: 1. */
  processes: v.optional(integer(1), 1),
  /** The folder that they run in; default: that of this process. */
  cwd: v.optional(string),
  /** Variables of their environment, beside those of this process. */
  env: v.optional(texts, {}),
  /**
   * What a query travels as: `point`, all numbers; `changes`, the entries that differ from a base point; `seed`, also directions by
   * their seed. Default: `point`.
   */
  send: v.optional(oneOf(SENDS), 'point'),
});
/** The options of `processBox`. */
export interface ProcessBoxOptions extends v.InferInput<typeof processBoxOptions> {}

/**
 * A loss that child processes compute, in any language: each reads queries from its standard input and writes answers to its
 * standard output, a JSON object a line, by docs/protocol.md. examples/clients/loss.py is one.
 *
 * A process that ends, or writes anything but one answer to the query that it was asked, is started again; that query is a failure,
 * with the last lines of the process's standard error. Where the query's timeout passes, the process and all of its group are
 * killed. When the run ends, the processes' input ends: they must end then too, and are killed after 2 s. The same input tells
 * them if this process dies.
 *
 * Processes that differ, such as those on several hosts or for several serial ports, are boxes of `anyBox`. That of `ssh` ends the
 * program on its host by the same end of input.
 *
 * @param command The program, found in `PATH`; no shell reads it.
 * @throws InvalidArgumentError if an option is out of range or unknown.
 * @example
 * const box = processBox('python3', ['loss.py'], { processes: 2 });
 * const { x, loss } = await minimize(box, x0, { ...options, timeout: 60 });
 *
 * const hosts = ['red', 'blue'];
 * const cluster = anyBox(hosts.map((host) => processBox('ssh', [host, 'python3', 'loss.py'])));
 */
export function processBox(command: string, args: readonly string[] = [], options: ProcessBoxOptions = {}): Box {
  const { processes, cwd, env, send } = parseOptions(processBoxOptions, options, 'processBox');
  checked(string, command, 'command');
  checked(
    list(
      leaf('string', 'a string', (arg) => typeof arg === 'string'),
      'a list of strings',
    ),
    args,
    'args',
  );
  const messages = new Messages(send);
  return poolBox(processes, () => new Client({ command, args, cwd, env }, messages));
}
