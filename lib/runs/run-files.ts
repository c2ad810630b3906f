/**
 * The small files of a run's folder, each read again when it has changed.
 *
 * @module
 */
import { FileError } from '../support/errors.js';
import { parseJson } from '../support/json.js';
import { isObject, parseContent } from '../support/schema.js';
import { RunFolder } from '../training/folder.js';
import type { RunAbout } from '../training/record/about.js';
import { runAbout } from '../training/record/about.js';
import type { RunStatus } from '../training/record/status.js';
import { runStatus } from '../training/record/status.js';
import type { Stamp } from './files.js';
import { isSame, readAt, withRegularFile } from './files.js';
import { configIn } from './find.js';
import type { Settings } from './settings.js';
import { settingsIn } from './settings.js';

const MOST_BYTES = 2 ** 22;

/** A file of JSON. */
class SmallFile<T> {
  readonly #path: string;
  readonly #parse: (content: unknown, path: string) => T;
  /** As it was when it was read; undefined if it could not be opened. */
  #stamp: Stamp | undefined;
  /** Undefined if there is no such file, or it has a problem. */
  value: T | undefined;
  problem: string | undefined;

  constructor(path: string, parse: (content: unknown, path: string) => T) {
    this.#path = path;
    this.#parse = parse;
  }

  /** Reads the file if it has changed, and returns whether it has. */
  async update(): Promise<boolean> {
    const [known, before] = [this.#stamp, this.problem];
    this.#stamp = undefined;
    try {
      const isThere = await withRegularFile(this.#path, async (handle, found) => {
        this.#stamp = found;
        if (isSame(known, found)) return true;
        this.value = this.problem = undefined;
        if (found.size > MOST_BYTES) {
          throw new FileError(this.#path, `has ${found.size} bytes, expected at most ${MOST_BYTES}`);
        }
        const bytes = await readAt(handle, new Uint8Array(Number(found.size)), 0);
        this.value = this.#parse(parseJson(new TextDecoder().decode(bytes), this.#path), this.#path);
        return true;
      });
      if (!isThere) this.value = this.problem = undefined;
    } catch (error) {
      if (!(error instanceof FileError)) throw error;
      this.value = undefined;
      this.problem = error.message;
    }
    return !isSame(known, this.#stamp) || this.problem !== before;
  }
}

/** `run.json`, `status.json` and `config.json` of a run. */
export class RunFiles {
  readonly folder: RunFolder;
  readonly #about: SmallFile<RunAbout>;
  readonly #status: SmallFile<RunStatus>;
  readonly #options: SmallFile<Record<string, unknown> | undefined>;

  constructor(path: string) {
    this.folder = new RunFolder(path);
    this.#about = new SmallFile(this.folder.about, (content, file) => parseContent(runAbout, content, file));
    this.#status = new SmallFile(this.folder.status, (content, file) => parseContent(runStatus, content, file));
    this.#options = new SmallFile(configIn(path), (content) =>
      isObject(content) && isObject(content['options']) ? content['options'] : undefined,
    );
  }

  /** Reads what has changed, and returns which. */
  async update(): Promise<{ readonly about: boolean; readonly status: boolean }> {
    const [about, options] = [await this.#about.update(), await this.#options.update()];
    return { about: about || options, status: await this.#status.update() };
  }

  /** Reads the status alone. */
  async updateStatus(): Promise<void> {
    await this.#status.update();
  }

  get about(): RunAbout | undefined {
    return this.#about.value;
  }

  get status(): RunStatus | undefined {
    return this.#status.value;
  }

  /** The command's options, by which runs of earlier versions are told. */
  get options(): Readonly<Record<string, unknown>> | undefined {
    return this.#options.value;
  }

  /** Every setting that the results depend on, and deepzero's version; of runs of earlier versions, the command's options. */
  get settings(): Settings {
    const { about } = this;
    return settingsIn(about ? { ...about.config, deepzero: about.version } : (this.options ?? {}));
  }

  /** What is wrong with the files, a line each. */
  get problems(): string[] {
    return [this.#about, this.#status, this.#options].flatMap(({ problem }) => problem ?? []);
  }
}
