/**
 * Clients of `processBox` that misbehave.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';

/**
 * A program for `node -e`. It answers with Σ (i + 1)·(xᵢ − 1)², and writes the number of its process to the file PIDS. To the
 * query AT it does HOW instead, unless the file DONE exists, which it then makes; before it hangs, the file HANGS. BASES lists the
 * base points that it was sent.
 */
const PROGRAM = String.raw`
const { appendFileSync, openSync, writeSync } = require('node:fs');
const { spawn } = require('node:child_process');
const { PIDS, AT, HOW, DONE, HANGS, BASES } = process.env;
const hang = () => appendFileSync(HANGS, 'x');
if (PIDS) appendFileSync(PIDS, process.pid + '\n');
const write = (text) => { for (let at = 0; at < text.length; ) at += writeSync(1, text.slice(at)); };
const say = (message) => write(JSON.stringify(message) + '\n');
const first = () => { try { openSync(DONE, 'wx'); return true; } catch { return false; } };
const lossOf = (x) => x.reduce((sum, value, i) => sum + (i + 1) * (value - 1) ** 2, 0);
const bear = () => appendFileSync(PIDS, spawn('sleep', ['1000'], { stdio: 'inherit' }).pid + '\n');
const wrong = {
  throws() { throw new Error('broken client'); },
  ends() { console.error('first line\nlast words'); process.exit(3); },
  'ends half-way'(id, loss) { write('{"id":"' + id + '","lo'); process.exit(0); },
  'is killed'() { process.kill(process.pid, 'SIGTERM'); },
  hangs() { console.error('waiting for hardware'); hang(); },
  'hangs and has children'() { bear(); hang(); },
  'has children'(id, loss) { bear(); say({ id, loss }); },
  'hangs and is busy'() { console.error('busy'); hang(); for (;;); },
  'answers and ends'(id, loss) { say({ id, loss }); process.exit(1); },
  'closes its input'(id, loss) { require('node:fs').closeSync(0); setInterval(() => undefined, 1000); say({ id, loss }); },
  'does not end'(id, loss) { setInterval(() => undefined, 1000); say({ id, loss }); },
  'answers NaN'(id) { write('{"id":"' + id + '","loss":NaN}\n'); },
  'answers -Infinity'(id) { write('{"id": "' + id + '", "loss": -Infinity}\n'); },
  'answers 1e999'(id) { write('{"id":"' + id + '","loss":1e999}\n'); },
  'answers null'(id) { say({ id, loss: null }); },
  'answers a text'(id) { say({ id, loss: '1' }); },
  'says why not'(id) { say({ id, failed: 'no light' }); },
  'answers twice'(id, loss) { say({ id, loss }); say({ id, loss: loss + 1 }); },
  'answers twice at once'(id, loss) { write((JSON.stringify({ id, loss }) + '\n').repeat(2)); },
  'answers another'(id, loss) { say({ id: id + '0', loss }); },
  'answers nobody'(id, loss) { say({ loss }); },
  'answers both'(id, loss) { say({ id, loss, failed: 'no' }); },
  'sends a list'() { write('[1]\n'); },
  'sends no JSON'() { write('Loading the model ...\n'); },
  'sends a deep list'() { write('['.repeat(400000) + '\n'); },
  'sends a megabyte'() { write('x'.repeat(2 ** 20 + 1)); },
  'sends without end'() { for (;;) write('x'.repeat(65536)); },
  'sends a long line'(id) { write('{"id":"' + id + '","failed":"' + 'x'.repeat(2 ** 20) + '"}\n'); },
  'hangs without output'() { require('node:fs').closeSync(1); hang(); },
};
let [rest, near] = ['', []];
process.stdin.setEncoding('utf8').on('data', (chunk) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  for (const line of lines) {
    const { id, base, set = [], x = near.slice() } = JSON.parse(line);
    if (id === undefined && base !== undefined) {
      near = x;
      appendFileSync(BASES, base + '\n');
    }
    if (id === undefined) continue;
    for (const [i, value] of set) x[i] = value;
    if (HOW && (AT === undefined || id === AT) && (!DONE || first())) wrong[HOW](id, lossOf(x));
    else say({ id, loss: lossOf(x) });
  }
});
`;

/** The command of a client, and its arguments. */
export const CLIENT: readonly [string, readonly string[]] = [process.execPath, ['-e', PROGRAM]];

/** The loss of `CLIENT`. */
export const clientLoss = (x: ArrayLike<number>): number =>
  Array.from(x).reduce((sum, value, i) => sum + (i + 1) * (value - 1) ** 2, 0);

/** The numbers that a file lists, one a line. */
export async function numbersIn(file: string): Promise<number[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean).map(Number);
}
