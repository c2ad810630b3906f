/**
 * The files of a run's folder of which little is read, each again when it has changed.
 *
 * @module
 */
import { FileError } from '../support/errors.js';
import { InputFile } from '../support/files.js';
import { parseJson } from '../support/json.js';
import { SafetensorsFile } from '../support/safetensors.js';
import { isObject, parseContent } from '../support/schema.js';
import { stepsIn } from '../training/checkpoint.js';
import { RunFolder } from '../training/folder.js';
import type { RunAbout } from '../training/record/about.js';
import { runAbout } from '../training/record/about.js';
import type { RunStatus } from '../training/record/status.js';
import { runStatus } from '../training/record/status.js';
import type { Stamp } from './files.js';
import { isSame, withRegularFile } from './files.js';
import { configIn } from './find.js';
import type { Settings } from './settings.js';
import { settingsIn } from './settings.js';

/** Reads what is told of a file. */
type Read<T> = (input: InputFile) => Promise<T>;

/** Of a file of JSON. */
const MOST_BYTES = 2 ** 22;

function jsonBy<T>(parse: (content: unknown, path: string) => T): Read<T> {
  return async (input) => {
    const { path, size } = input;
    if (size > MOST_BYTES) throw new FileError(path, `has ${size} bytes, expected at most ${MOST_BYTES}`);
    const bytes = new Uint8Array(size);
    await input.read(bytes, 0);
    return parse(parseJson(new TextDecoder().decode(bytes), path), path);
  };
}

/** Reads the header alone, which tells whether the file has all its bytes: to check them takes long. */
async function readSteps(input: InputFile): Promise<number> {
  const { path, metadata } = await SafetensorsFile.open(input);
  return stepsIn(path, metadata);
}

/** What is told of a file, read again when that has changed. */
class KnownFile<T> {
  readonly #path: string;
  readonly #read: Read<T>;
  /** As it was when it was read; undefined if it could not be opened. */
  #stamp: Stamp | undefined;
  /** Undefined if there is no such file, or it has a problem. */
  value: T | undefined;
  problem: string | undefined;

  constructor(path: string, read: Read<T>) {
    this.#path = path;
    this.#read = read;
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
        this.value = await this.#read(new InputFile(this.#path, handle, Number(found.size)));
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

/** `run.json`, `status.json`, `config.json` and the checkpoint of a run. */
export class RunFiles {
  readonly folder: RunFolder;
  readonly #about: KnownFile<RunAbout>;
  readonly #status: KnownFile<RunStatus>;
  readonly #options: KnownFile<Record<string, unknown> | undefined>;
  readonly #checkpoint: KnownFile<number>;

  constructor(path: string) {
    this.folder = new RunFolder(path);
    const { about, status, checkpoint } = this.folder;
    this.#about = new KnownFile(
      about,
      jsonBy((content, file) => parseContent(runAbout, content, file)),
    );
    this.#status = new KnownFile(
      status,
      jsonBy((content, file) => parseContent(runStatus, content, file)),
    );
    this.#options = new KnownFile(
      configIn(path),
      jsonBy((content) => (isObject(content) && isObject(content['options']) ? content['options'] : undefined)),
    );
    this.#checkpoint = new KnownFile(checkpoint, readSteps);
  }

  /** Reads what has changed, and returns whether the options or starts have, and whether the run's position has. */
  async update(): Promise<{ readonly about: boolean; readonly position: boolean }> {
    const [about, options] = [await this.#about.update(), await this.#options.update()];
    const [status, checkpoint] = [await this.#status.update(), await this.#checkpoint.update()];
    return { about: about || options, position: status || checkpoint };
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

  /** Steps done, by the checkpoint; undefined if there is none, or it is broken. */
  get savedSteps(): number | undefined {
    return this.#checkpoint.value;
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
    return [this.#about, this.#status, this.#options, this.#checkpoint].flatMap(({ problem }) => problem ?? []);
  }
}
