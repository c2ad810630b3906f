import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { buildSync } from 'esbuild';
import { Random } from '../../lib/native/random.js';
import { root } from '../../scripts/run.js';
import { numbersIn } from '../helpers/clients.js';
import { isRunning, until } from '../helpers/resources.js';
import { withFolder } from '../helpers/tiny.js';

/** How often runs of each kind are killed; by hand, 100. */
const KILLS = Number(process.env['DEEPZERO_KILLS'] ?? 5);

/** As deep below the package's folder as lib/native/, which looks for the addon from there. */
const PROGRAM = join(root, 'build/test/killed-run.js');

interface Run {
  readonly child: ChildProcess;
  /** What it has printed. */
  text: string;
  ended: boolean;
}

function start(folder: string, kind: string): Run {
  const child = spawn(process.execPath, [PROGRAM, folder, kind], { stdio: ['ignore', 'pipe', 'inherit'] });
  const run: Run = { child, text: '', ended: false };
  child.stdout.on('data', (chunk: Buffer) => (run.text += chunk.toString()));
  child.once('close', () => (run.ended = true));
  return run;
}

const sizeOf = (file: string): Promise<number> =>
  stat(file).then(
    ({ size }) => size,
    () => 0,
  );

const linesOf = async (file: string): Promise<string[]> =>
  (await readFile(file, 'utf8').catch(() => '')).split('\n').slice(0, -1);

/** The queries that have their last answer, by the journal: a loss, no loss for good, or a failure of both attempts. */
async function settledIn(journal: string): Promise<Set<string>> {
  const settled = new Set<string>();
  const failed = new Set<string>();
  for (const line of (await linesOf(journal)).slice(1)) {
    const { id, failed: reason } = JSON.parse(line) as { id: string; failed?: string };
    if (reason === undefined || failed.has(id)) settled.add(id);
    else failed.add(id);
  }
  return settled;
}

/** Kills a run at random moments until there have been enough kills or the run has ended; then lets it end. */
async function disturbed(folder: string, kind: string, random: Random, most: number): Promise<[string, number]> {
  const [journal, log, pids] = ['answers.jsonl', 'log', 'pids'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  let settled = new Set<string>();
  let asked = 0;
  for (let kills = 0; ; kills++) {
    const before = await sizeOf(journal);
    const run = start(folder, kind);
    if (kills < most) {
      // Mostly after some answers, so that the run goes on; else at any moment, as while the journal is read.
      const more = random.uniform() < 0.8 ? 40 * (1 + random.integer(20)) : -1;
      await until(async () => run.ended || (await sizeOf(journal)) > before + more);
      await sleep(random.integer(more < 0 ? 300 : 10));
      run.child.kill('SIGKILL');
    }
    if (!run.ended) await once(run.child, 'close');
    await until(async () => !(await numbersIn(pids)).some(isRunning));
    const ids = await linesOf(log);
    const again = ids.slice(asked).filter((id) => settled.has(id));
    assert.deepEqual(again, [], 'asked again though the journal has the answer');
    settled = await settledIn(journal);
    asked = ids.length;
    if (run.text !== '') return [run.text, kills];
  }
}

describe('a run that is killed at random moments', () => {
  before(() => {
    buildSync({
      ...{ entryPoints: [join(root, 'test/helpers/killed-run.ts')], outfile: PROGRAM },
      ...{ bundle: true, packages: 'external', platform: 'node', format: 'esm', target: 'node20' },
    });
  });

  for (const kind of ['function', 'process']) {
    it(`ends in the same bits over a ${kind}, and asks nothing twice that was answered`, () =>
      withFolder(async (folder) => {
        const random = new Random(kind.length, 'trials');
        const place = async (name: string): Promise<string> => {
          const path = join(folder, name);
          await mkdir(path);
          return path;
        };
        const [whole] = await disturbed(await place('whole'), kind, random, 0);
        assert.match(whole, /"stopped":"budget"/);
        let [kills, runs] = [0, 0];
        // On a machine that is slow to kill, a run may end before.
        while (kills < KILLS) {
          const [text, own] = await disturbed(await place(`run${runs++}`), kind, random, KILLS - kills);
          assert.equal(text, whole);
          kills += own;
        }
        if (KILLS > 5) console.log(`      ${kills} kills of ${runs} runs`);
      }));
  }
});
