import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fails, json, outcomeOf, start, TINY, writeImages } from '../helpers/command.js';
import { until } from '../helpers/resources.js';
import { writeRun } from '../helpers/run-folders.js';
import { withFolder } from '../helpers/tiny.js';

const LONG = [...TINY, '--ratios', 'uniform', '--batch-size', '20', '--steps', '100000'];
const SMALL = [...LONG, '--steps', '2'];

/** What comes of a page's events; fails if they end before a text does. */
class Events {
  text = '';
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();

  private constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  static async of(url: string): Promise<Events> {
    return new Events((await fetch(`${url}events`)).body!);
  }

  async until(text: string): Promise<void> {
    while (!this.text.includes(text)) {
      const { done, value } = await this.#reader.read();
      if (done) throw new Error(`Expected ${text} before the events end, received ${this.text.slice(-500)}`);
      this.text += this.#decoder.decode(value, { stream: true });
    }
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => undefined);
  }
}

/** What a server says to a request; an empty text if there is none. */
async function ask(url: string): Promise<string> {
  return fetch(url).then(
    async (response) => response.text(),
    () => '',
  );
}

describe('deepzero ui', () => {
  it('prints its address, shows runs, and ends on Ctrl-C at once, with a page open', async () => {
    await withFolder(async (folder) => {
      const child = start(['ui', '--json'], { cwd: folder });
      const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
      const { url, port, runs } = JSON.parse(line) as { url: string; port: number; runs: string };
      assert.deepEqual([new URL(url).port, runs], [String(port), 'runs']);
      assert.match(await ask(url), /<div id="page">/);
      assert.match(await ask(`${url}page.js`), /Permission is hereby granted/);
      await writeRun(join(folder, 'runs', 'a'), { steps: 1 });
      const events = await Events.of(url);
      await events.until('"name":"a"');
      const ended = outcomeOf(child);
      child.kill('SIGINT');
      assert.equal((await ended).code, 130);
      await events.cancel();
    });
  });

  it('refuses what is no run, and a port that is taken', async () => {
    await withFolder(async (folder) => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      await mkdir(join(folder, 'empty'));
      await fails(['ui', '--port', String(port)], 2, new RegExp(`Expected --port to be a free port, received ${port}: it is in use$`), { cwd: folder }); // prettier-ignore
      await fails(['ui', '--port', '0'], 2, /Expected --port to be an integer from 1 to 65535, received 0$/);
      await fails(['ui', 'none'], 1, /none: no such file or directory$/, { cwd: folder });
      await fails(
        ['ui', 'empty'],
        1,
        /empty: expected a run's folder, which holds log\.jsonl; deepzero train writes one into runs\/$/,
        { cwd: folder },
      );
      await fails(['train', '--port', '8017'], 2, /--port requires --ui$/);
      server.close();
    });
  });
});

describe('deepzero report', () => {
  it('writes one file that holds everything, with content of files escaped', async () => {
    await withFolder(async (folder) => {
      const message = '</script><script>alert(1)</script>';
      await writeRun(join(folder, 'a'), { steps: 120, state: 'failed', message });
      await writeRun(join(folder, 'b'), { steps: 20, isOld: true });
      await symlink('a', join(folder, 'c'));
      const result = await json(['report', 'a', 'b', 'c', '--out', 'r.html'], { cwd: folder });
      const text = await readFile(join(folder, 'r.html'), 'utf8');
      assert.deepEqual(result, { out: 'r.html', runs: ['a', 'b', 'c'], bytes: Buffer.byteLength(text) });
      assert.equal(text.match(/<\/script>/g)?.length, 2);
      assert.doesNotMatch(text, /<(link|script|img|a)\b[^>]*(src|href)=(?!"data:)/);
      const data = /<script type="application\/json" id="report">(.*?)<\/script>/s.exec(text)![1]!;
      const { messages } = JSON.parse(data) as { messages: { summary?: { message?: string } }[] };
      assert.equal(messages[1]?.summary?.message, message);
      // Links count where they are named.
      const whole = await json(['report', '.', '--out', 'r.html'], { cwd: folder });
      assert.deepEqual([...(whole['runs'] as string[])].sort(), ['a', 'b']);
    });
  });

  it('refuses missing runs, files and places', async () => {
    await withFolder(async (folder) => {
      await writeRun(join(folder, 'a'), { steps: 1 });
      const there = { cwd: folder };
      await fails(['report', '--out', 'r.html'], 2, /missing required argument 'RUN'$/);
      await fails(['report', 'a'], 2, /Expected --out FILE$/, there);
      await fails(['report', 'a', '--out', 'none/r.html'], 1, /none\/r\.html: folder does not exist$/, there);
      await fails(['report', 'b', '--out', 'r.html'], 1, /b: no such file or directory$/, there);
      await mkdir(join(folder, 'empty'));
      await fails(
        ['report', 'a', 'empty', '--out', 'r.html'],
        1,
        /empty: expected a run's folder, which holds /,
        there,
      );
      assert.deepEqual(await readdir(folder), ['a', 'empty']);
    });
  });
});

describe('deepzero train --ui', () => {
  it('serves the page of the run from another process, until the run ends', async () => {
    await withFolder(async (folder) => {
      const images = await writeImages(folder);
      const child = start(['train', ...LONG, '--data', images, '--out', 'run', '--ui'], { cwd: folder });
      const ended = outcomeOf(child);
      let said = '';
      child.stdout.on('data', (text: Buffer) => (said += text.toString()));
      await until(() => /Shown at\n {2}http\S+\n/.test(said) || child.exitCode !== null);
      const [url = ''] = /http\S+/.exec(said) ?? [];
      assert.match(await ask(url), /<div id="page">/);
      const events = await Events.of(url);
      await events.until('"state":"running"');
      child.kill('SIGINT');
      const { code, stderr } = await ended;
      assert.equal(code, 130, stderr);
      // The last state comes before the end.
      await events.until('"type":"end"');
      assert.match(events.text, /"state":"stopped"/);
      await until(async () => (await ask(url)) === '');
    });
  });

  it('says in one line that the port is taken, before the run starts', async () => {
    await withFolder(async (folder) => {
      const images = await writeImages(folder);
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const args = ['train', ...SMALL, '--data', images, '--out', 'run', '--ui', '--port', String(port)];
      await fails(args, 2, new RegExp(`Expected --port to be a free port, received ${port}: it is in use$`), { cwd: folder }); // prettier-ignore
      assert.deepEqual(await readdir(folder), ['images']);
      server.close();
    });
  });

  it('ends the page with the run, however that ends', async () => {
    await withFolder(async (folder) => {
      const images = await writeImages(folder);
      const child = start(['train', ...LONG, '--data', images, '--out', 'run', '--ui'], {
        cwd: folder,
      });
      let said = '';
      child.stdout.on('data', (text: Buffer) => (said += text.toString()));
      await until(() => /Shown at\n {2}http\S+\n/.test(said));
      const [url = ''] = /http\S+/.exec(said) ?? [];
      assert.notEqual(await ask(url), '');
      child.kill('SIGKILL');
      await until(async () => (await ask(url)) === '');
      await writeFile(join(folder, 'done'), '');
    });
  });
});
