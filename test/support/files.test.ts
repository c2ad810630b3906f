import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, stat, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { FileError } from '../../lib/support/errors.js';
import {
  checkDestination,
  exists,
  isLocked,
  lock,
  makeFolder,
  readFileBytes,
  removeEmptyFolders,
  writeFileAtomically,
} from '../../lib/support/files.js';
import { temporaryIn } from '../../lib/support/writers.js';
import { HANG_MS } from '../helpers/hang.js';
import { canMount, MOUNTING_SHELL } from '../helpers/mounts.js';
import { withFolder } from '../helpers/tiny.js';

const STALLED_WRITER = fileURLToPath(new URL('../helpers/write-stalled.ts', import.meta.url));
const WRITER = fileURLToPath(new URL('../helpers/write-large.ts', import.meta.url));

/** Runs the writer in a script of `shell`. */
const WRITE = '"$0" --import tsx "$1" "$2"';

/** What a shell script prints in which `WRITE` writes to `file`; tsx must not leave a truncated cache behind. */
function shell([program, ...parameters]: readonly [string, ...string[]], script: string, file: string): string {
  const env = { ...process.env, TSX_DISABLE_CACHE: '1' };
  const settings = { encoding: 'utf8', env, timeout: HANG_MS } as const;
  return execFileSync(program, [...parameters, script, process.execPath, WRITER, file], settings);
}

function fileError(file: string, problem: string) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof FileError, String(error));
    assert.equal(error.message, `${file}: ${problem}`);
    assert.equal(error.file, file);
    return true;
  };
}

describe('writeFileAtomically', () => {
  it('writes text and chunks, and replaces the old content', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'a file');
      await writeFileAtomically(file, 'π\n');
      assert.equal(await readFile(file, 'utf8'), 'π\n');
      await writeFileAtomically(file, [Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)]);
      assert.deepEqual([...(await readFile(file))], [1, 2, 3]);
      assert.deepEqual(await readdir(folder), ['a file']);
    });
  });

  it('leaves the old content to those who have it open', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'file');
      await writeFile(file, 'old');
      const handle = await open(file);
      await writeFileAtomically(file, 'new');
      assert.equal(await handle.readFile('utf8'), 'old');
      await handle.close();
      assert.equal(await readFile(file, 'utf8'), 'new');
    });
  });

  it('leaves one whole content when several write at once', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'shared');
      const contents = Array.from({ length: 8 }, (_, i) => String(i).repeat(100_000));
      await Promise.all(contents.map((content) => writeFileAtomically(file, content)));
      assert.ok(contents.includes(await readFile(file, 'utf8')));
      assert.deepEqual(await readdir(folder), ['shared']);
    });
  });

  it('names the folder that does not exist', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'absent', 'file');
      await assert.rejects(writeFileAtomically(file, ''), fileError(file, 'folder does not exist'));
    });
  });

  it('refuses a path below a file', async () => {
    await withFolder(async (folder) => {
      await writeFile(join(folder, 'plain'), 'kept');
      const file = join(folder, 'plain', 'file');
      await assert.rejects(writeFileAtomically(file, ''), fileError(file, 'not a directory'));
      assert.equal(await readFile(join(folder, 'plain'), 'utf8'), 'kept');
    });
  });

  it('refuses to replace a folder or a device', async () => {
    await withFolder(async (folder) => {
      const inner = join(folder, 'inner');
      await mkdir(inner);
      await assert.rejects(writeFileAtomically(inner, ''), fileError(inner, 'is a folder, expected a file'));
      const device = join(folder, 'device');
      await symlink('/dev/null', device);
      await assert.rejects(writeFileAtomically(device, ''), fileError(device, 'is not a regular file'));
      assert.deepEqual(await readdir(folder), ['device', 'inner']);
    });
  });

  it('keeps the old content and leaves nothing behind when writing fails half-way', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'file');
      await writeFile(file, 'old');
      assert.equal(shell(['sh', '-c'], `ulimit -f 100; ${WRITE}`, file), `${file}: file too large\n`);
      assert.equal(await readFile(file, 'utf8'), 'old');
      assert.deepEqual(await readdir(folder), ['file']);
    });
  });

  it('says so when the disk is full', async function () {
    if (!canMount()) this.skip();
    await withFolder((folder) => {
      const file = join(folder, 'file');
      const script = `mount -t tmpfs -o size=64k none "$(dirname "$2")" && ${WRITE} && ls -A "$(dirname "$2")"`;
      const output = shell(MOUNTING_SHELL, script, file);
      assert.equal(output, `${file}: no space left on device\n`);
      return Promise.resolve();
    });
  });
});

describe('temporary files', () => {
  /** A process that has written a part of a temporary file for `file` and waits. */
  const startWriter = async (file: string): Promise<ChildProcess> => {
    const writer = spawn(process.execPath, ['--import', 'tsx', STALLED_WRITER, file]);
    await once(writer.stdout, 'data');
    return writer;
  };
  const kill = async (writer: ChildProcess): Promise<void> => {
    writer.kill('SIGKILL');
    await once(writer, 'close');
  };

  it('of a killed writer are removed by the next save into the folder, whatever it saves', async () => {
    await withFolder(async (folder) => {
      await kill(await startWriter(join(folder, 'run')));
      assert.match((await readdir(folder)).join(), /^\.deepzero-.*\.tmp$/);
      await writeFileAtomically(join(folder, 'other'), '');
      assert.deepEqual(await readdir(folder), ['other']);
    });
  });

  it('of running writers stay, also of another process', async () => {
    await withFolder(async (folder) => {
      const writer = await startWriter(join(folder, 'file'));
      const [temporary] = await readdir(folder);
      await writeFileAtomically(join(folder, 'other'), '');
      assert.deepEqual((await readdir(folder)).sort(), [temporary!, 'other']);
      await kill(writer);
      await checkDestination(join(folder, 'other'));
      assert.deepEqual(await readdir(folder), ['other']);
    });
  });

  it('of another process with the number of one that runs, or of another machine a day ago, are removed', async () => {
    await withFolder(async (folder) => {
      const own = basename(temporaryIn(folder));
      const [, machine = '', , start = ''] = own.split('-');
      const other = machine.replace(/./g, (digit) => (digit === '0' ? '1' : '0'));
      const fresh = own.replace(machine, other);
      const old = fresh.replace(/.{12}\.tmp$/, '0123456789ab.tmp');
      const names = [own, own.replace(`-${start}-`, `-${start}0-`), fresh, old, '.deepzero-x.tmp', '.x.tmp', 'x.tmp'];
      for (const name of names) await writeFile(join(folder, name), '');
      const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
      await utimes(join(folder, old), yesterday, yesterday);
      await writeFileAtomically(join(folder, 'file'), '');
      assert.deepEqual(
        (await readdir(folder)).sort(),
        [own, fresh, '.deepzero-x.tmp', '.x.tmp', 'x.tmp', 'file'].sort(),
      );
    });
  });
});

describe('checkDestination', () => {
  it('refuses the places that writing would refuse', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'file');
      await checkDestination(file);
      await writeFile(file, '1');
      await checkDestination(file);
      assert.deepEqual(await readdir(folder), ['file']);
      assert.equal(await readFile(file, 'utf8'), '1');
      await assert.rejects(checkDestination('/proc/x'), fileError('/proc/x', 'folder does not exist'));
      const absent = join(folder, 'absent', 'file');
      await assert.rejects(checkDestination(absent), fileError(absent, 'folder does not exist'));
      await assert.rejects(checkDestination(folder), fileError(folder, 'is a folder, expected a file'));
      await assert.rejects(checkDestination(join(file, 'x')), fileError(join(file, 'x'), 'not a directory'));
    });
  });
});

describe('readFileBytes', () => {
  it('gives the bytes in their own memory', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'file');
      await writeFile(file, Uint8Array.of(5, 0, 255));
      const bytes = await readFileBytes(file);
      assert.deepEqual([...bytes], [5, 0, 255]);
      assert.equal(bytes.byteOffset, 0);
      assert.equal(bytes.buffer.byteLength, 3);
    });
  });

  it('reads a file of several parts', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'file');
      const content = Uint8Array.from({ length: 3 * 2 ** 20 + 1 }, (_, i) => (i * 2654435761) >>> 24);
      await writeFile(file, content);
      assert.ok(Buffer.from(content).equals(await readFileBytes(file)));
    });
  });

  it('names the problem with the path', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'absent');
      await assert.rejects(readFileBytes(file), fileError(file, 'file does not exist'));
      await assert.rejects(readFileBytes(folder), fileError(folder, 'is a folder, expected a file'));
      const pipe = join(folder, 'pipe');
      execFileSync('mkfifo', [pipe]);
      for (const other of [pipe, '/dev/zero']) {
        await assert.rejects(readFileBytes(other), fileError(other, 'is not a regular file'));
      }
      const sparse = join(folder, 'sparse');
      await writeFile(sparse, '');
      await truncate(sparse, 2 ** 40);
      await assert.rejects(
        readFileBytes(sparse),
        fileError(sparse, `has ${2 ** 40} bytes, expected at most ${2 ** 28}`),
      );
    });
  });
});

describe('exists', () => {
  it('rejects where the system does not say', async () => {
    await withFolder(async (folder) => {
      const [file, loop] = [join(folder, 'file'), join(folder, 'loop')];
      await writeFile(file, '');
      await symlink(loop, loop);
      assert.deepEqual([await exists(file), await exists(join(folder, 'no')), await exists(join(file, 'in'))], [true, false, false]); // prettier-ignore
      await assert.rejects(exists(loop), fileError(loop, 'too many symbolic links encountered'));
    });
  });
});

describe('isLocked', () => {
  it('sees a lock while it is held', async () => {
    await withFolder(async (folder) => {
      assert.equal(await isLocked(folder), false);
      const unlock = await lock(folder, await stat(folder, { bigint: true }));
      assert.equal(await isLocked(folder), true);
      await unlock();
      assert.equal(await isLocked(folder), false);
    });
  });

  it('sees it also where its holder accepts no connections', async () => {
    await withFolder(async (folder) => {
      const { dev, ino } = await stat(folder, { bigint: true });
      const program = `
        const { parentPort, workerData } = require('node:worker_threads');
        require('node:net').createServer().listen({ path: workerData, backlog: 1 }, () => {
          parentPort.postMessage('listening');
          Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        });`;
      const holder = new Worker(program, { eval: true, workerData: `\0deepzero-run-${dev}-${ino}` });
      await once(holder, 'message');
      try {
        for (let i = 0; i < 5; i++) assert.equal(await isLocked(folder), true);
      } finally {
        await holder.terminate();
      }
      assert.equal(await isLocked(folder), false);
    });
  });
});

describe('makeFolder', () => {
  it('makes folders above, too, and accepts one that exists', async () => {
    await withFolder(async (folder) => {
      const inner = join(folder, 'a', 'b');
      assert.equal(await exists(inner), false);
      await makeFolder(inner);
      await makeFolder(inner);
      assert.equal(await exists(inner), true);
    });
  });

  it('returns the outermost new folder, and empty new folders can be removed', async () => {
    await withFolder(async (folder) => {
      const [outer, inner] = [join(folder, 'a'), join(folder, 'a', 'b')];
      const made = await makeFolder(inner);
      assert.deepEqual([made, await makeFolder(inner)], [outer, undefined]);
      await removeEmptyFolders(inner, undefined);
      assert.equal(await exists(inner), true);
      await writeFile(join(outer, 'file'), '');
      await removeEmptyFolders(inner, made);
      assert.deepEqual(await readdir(outer), ['file']);
      await rm(join(outer, 'file'));
      await removeEmptyFolders(outer, made);
      assert.deepEqual(await readdir(folder), []);
      const winding = `${folder}/a/./b/../c/`;
      await removeEmptyFolders(winding, await makeFolder(winding));
      await assert.rejects(makeFolder(join(inner, 'x'.repeat(300))), /name too long$/);
      assert.deepEqual(await readdir(folder), []);
    });
  });

  it('refuses a file in its way', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'file');
      await writeFile(file, '');
      await assert.rejects(makeFolder(file), fileError(file, 'is a file, expected a folder'));
      await assert.rejects(makeFolder(join(file, 'a')), fileError(join(file, 'a'), 'not a directory'));
      const link = join(folder, 'link');
      await symlink(join(folder, 'none'), link);
      await assert.rejects(makeFolder(link), fileError(link, 'is a symbolic link to nothing, expected a folder'));
    });
  });

  it('returns where the system neither makes nor finds a folder', async () => {
    const none = '/proc/deepzero';
    await assert.rejects(makeFolder(join(none, 'a')), fileError(none, 'no such file or directory'));
  });
});
