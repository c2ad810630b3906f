import assert from 'node:assert/strict';
import { appendFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { Feed } from '../../lib/ui/feed.js';
import type { Message, RunMessage } from '../../lib/ui/protocol.js';
import { Streams } from '../../lib/ui/streams.js';
import { until } from '../helpers/resources.js';
import { appendSteps, writeRun } from '../helpers/run-folders.js';
import { withFolder } from '../helpers/tiny.js';

/** A page that takes a message at a time, and only while it is awake. */
class Page extends Writable {
  text = '';
  #take: (() => void) | undefined;
  #isAsleep = false;

  constructor() {
    super({ highWaterMark: 1 });
  }

  override _write(bytes: Buffer, _: string, done: () => void): void {
    this.text += bytes.toString();
    if (this.#isAsleep) this.#take = done;
    else setImmediate(done);
  }

  sleep(): void {
    this.#isAsleep = true;
  }

  get isBusy(): boolean {
    return this.#take !== undefined;
  }

  wake(): void {
    this.#isAsleep = false;
    this.#take?.();
  }

  /** Messages on runs. */
  get runs(): RunMessage[] {
    const all = [...this.text.matchAll(/data: (.*)\n\n/g)].map(([, json]) => JSON.parse(json!) as Message);
    return all.filter((message) => message.type === 'run');
  }
}

function streamsTo(page: Page, feed: Feed): Streams {
  const streams = new Streams(feed);
  streams.add(page as unknown as ServerResponse);
  return streams;
}

describe('streams to pages', () => {
  it('end with all of a log that is still being read', async () => {
    await withFolder(async (folder) => {
      const line = (_: unknown, step: number) => `${JSON.stringify({ step, loss: 1, queries: 2, seconds: 1 })}\n`;
      await appendFile(join(folder, 'log.jsonl'), Array.from({ length: 100_000 }, line).join(''));
      const page = new Page();
      const streams = streamsTo(page, new Feed({ runs: [folder] }));
      await until(() => page.runs.length > 0);
      await streams.finish();
      streams.close();
      assert.equal(page.runs.at(-1)?.series?.step.at(-1), 99_999 - 15.5);
      assert.ok(!/no entr|no steps/.test(page.text), 'lines of the log are read twice');
    });
  });

  it('end with the last state, also where a page is busy', async () => {
    await withFolder(async (folder) => {
      await writeRun(folder, { steps: 3 });
      const page = new Page();
      const feed = new Feed({ runs: [folder] });
      const streams = streamsTo(page, feed);
      page.sleep();
      await until(() => page.isBusy);
      await appendSteps(folder, 3, 9);
      const ended = streams.finish().then(() => {
        streams.close();
      });
      await until(() => feed.runs[0]?.reader.summary?.steps === 9);
      page.wake();
      await ended;
      assert.equal(page.runs.at(-1)?.series?.step.at(-1), 8);
      await until(() => page.writableFinished);
      assert.match(page.text, /data: \{"type":"end"\}\n\n$/);
    });
  });
});
