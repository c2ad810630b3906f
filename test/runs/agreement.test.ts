import assert from 'node:assert/strict';
import { appendFile, mkdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { compareSettings } from '../../lib/runs/settings.js';
import type { RunSummary } from '../../lib/runs/types.js';
import { RunFolder } from '../../lib/training/folder.js';
import { Feed } from '../../lib/ui/feed.js';
import { changesOf } from '../../lib/ui/messages.js';
import type { Run } from '../../lib/ui/page/data/store.js';
import { Store } from '../../lib/ui/page/data/store.js';
import type { Source } from '../../lib/ui/feed.js';
import { json } from '../helpers/command.js';
import { lineOf, writeRun } from '../helpers/run-folders.js';
import { withFolder } from '../helpers/tiny.js';

const LONG_AGO = '2026-01-05T10:00:00.000Z';

/** Changes entries of a file of JSON. */
async function change(file: string, entries: object): Promise<void> {
  const content = JSON.parse(await readFile(file, 'utf8')) as object;
  await writeFile(file, JSON.stringify({ ...content, ...entries }));
}

/** Folders of runs, by the state that they shall have. */
const FOLDERS: Readonly<Record<string, readonly [state: string, make: (folder: RunFolder) => Promise<unknown>]>> = {
  running: ['running', async ({ path }) => writeRun(path, { steps: 12, seed: 2, lr: 0.2 })],
  silent: [
    'running',
    async ({ path, status }) => {
      await writeRun(path, { steps: 12 });
      await change(status, { time: LONG_AGO });
    },
  ],
  killed: [
    'killed',
    async ({ path, log, status }) => {
      await writeRun(path, { steps: 120 });
      await appendFile(log, lineOf(120) + lineOf(121).slice(0, 40));
      await change(status, { time: LONG_AGO });
    },
  ],
  stopped: ['stopped', async ({ path }) => writeRun(path, { steps: 30, state: 'stopped' })],
  failed: ['failed', async ({ path }) => writeRun(path, { steps: 3, state: 'failed', message: 'the disk is full' })],
  finished: [
    'finished',
    async ({ path, status }) => {
      await writeRun(path, { steps: 150, totalSteps: 150, state: 'finished' });
      await change(status, { later: 'a field of a later version' });
    },
  ],
  program: [
    'finished',
    async ({ path }) => {
      await writeRun(path, { steps: 9, totalSteps: 9, state: 'finished', seed: 4 });
      await rm(join(path, 'config.json'));
    },
  ],
  starting: [
    'starting',
    async ({ path }) => writeFile(join(path, 'config.json'), '{"options":{"lr":0.1,"depth":null}}'),
  ],
  old: ['stopped', async ({ path }) => writeRun(path, { steps: 40, isOld: true })],
  'old-and-whole': [
    'finished',
    async ({ path }) => {
      await writeRun(path, { steps: 40, isOld: true });
      await writeFile(join(path, 'config.json'), '{"options":{"network":"cnn","steps":40}}');
    },
  ],
  broken: [
    'stopped',
    async ({ path, status, about }) => {
      await writeRun(path, { steps: 5 });
      await truncate(status, 7);
      await writeFile(about, '[]');
    },
  ],
  short: [
    'finished',
    async ({ path, log }) => {
      await writeRun(path, { steps: 9, totalSteps: 9, state: 'finished' });
      await writeFile(log, lineOf(0));
    },
  ],
  linked: [
    'stopped',
    async ({ path, log }) => {
      await writeRun(path, { steps: 5, state: 'stopped' });
      await rm(log);
      await symlink('../running/log.jsonl', log);
    },
  ],
};

/** The runs that the page shows. */
async function shownBy(source: Source): Promise<Run[]> {
  const feed = new Feed(source);
  while (await feed.update());
  const store = new Store();
  for (const message of [feed.list, ...feed.runs.map(({ id, reader }) => changesOf(reader, id, undefined)!.message)]) {
    store.receive(JSON.parse(JSON.stringify(message)) as typeof message);
  }
  return store.runs;
}

describe('deepzero runs and the page', () => {
  it('say the same of folders in every state: which are runs, their states, results, problems and settings', async () => {
    await withFolder(async (folder) => {
      const open = new Map<string, RunFolder>();
      for (const name of ['silent', 'starting']) open.set(name, await RunFolder.open(join(folder, name)));
      for (const [name, [, make]] of Object.entries(FOLDERS)) {
        await mkdir(join(folder, name), { recursive: true });
        await make(new RunFolder(join(folder, name)));
      }
      await mkdir(join(folder, 'empty'));
      await symlink('running', join(folder, 'link'));
      const { runs } = (await json(['runs', folder])) as unknown as { runs: RunSummary[] };
      const shown = await shownBy({ folder });
      assert.deepEqual(
        Object.fromEntries(runs.map(({ name, state }) => [name, state])),
        Object.fromEntries(Object.entries(FOLDERS).map(([name, [state]]) => [name, state])),
      );
      const byName = (one: RunSummary, other: RunSummary): number => (one.name < other.name ? -1 : 1);
      assert.deepEqual(shown.map(({ summary }) => summary!).sort(byName), runs.slice().sort(byName));
      assert.ok(shown.every(({ name, summary }) => name === summary!.name));
      const problems = runs.flatMap((run) => run.problems.map((problem) => problem.slice(folder.length + 1)));
      assert.match(problems.sort().join(), /^broken\/run\.json: .*,broken\/status\.json: .*,linked\/log\.jsonl: is a symbolic link[^,]*, expected a file,short\/log\.jsonl: ends after 1 of the 9 steps done$/); // prettier-ignore

      const paths = runs.map(({ path }) => path);
      const compared = await json(['runs', '--compare', ...paths]);
      const named = await shownBy({ runs: paths });
      assert.deepEqual(
        named.map(({ name }) => name),
        paths.map((path) => basename(path)),
      );
      const { different } = compareSettings(named.map(({ about }) => about!.settings));
      assert.deepEqual(
        Object.fromEntries(different.map(({ path, values }) => [path, values.map((value) => value ?? null)])),
        compared['settings'],
      );
      for (const one of open.values()) await one[Symbol.asyncDispose]();
    });
  });

  it('compare a run of the command with one of a program by the same settings', async () => {
    await withFolder(async (folder) => {
      for (const name of ['running', 'program'] as const) await FOLDERS[name]![1](new RunFolder(join(folder, name)));
      const paths = ['running', 'program'].map((name) => join(folder, name));
      const { settings } = await json(['runs', '--compare', ...paths]);
      assert.deepEqual(settings, { 'optimizer.lr': [0.2, 0.1], steps: [4000, 9], seed: [2, 4] });
    });
  });
});
