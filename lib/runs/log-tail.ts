/**
 * Follows a log of JSON lines while it grows, is cut when its run is resumed, or is replaced.
 *
 * @module
 */
import type { FileHandle } from 'node:fs/promises';

import type { Stamp } from './files.js';
import { isSame, readAt, withRegularFile } from './files.js';

const NEWLINE = 0x0a;
/** Bytes that are read at a time; a longer line is skipped. */
const CHUNK_BYTES = 2 ** 20;
/** Bytes before the position that must still be there: a log that was cut and has grown again has others. */
const KNOWN_BYTES = 256;

/** Who receives the lines. */
export interface LineReader {
  /** A whole line, without its end. */
  line(text: string): void;
  /** The log does not continue what was read: it will be read from its start. */
  restart(): void;
}

/** Reads the new lines of a growing file. */
export class LogTail {
  readonly #file: string;
  readonly #decoder = new TextDecoder();
  /** Behind the last line that was read. */
  #position = 0;
  #known = new Uint8Array(0);
  /** Whether the line at the position is longer than a chunk. */
  #isSkipping = false;
  #stamp: Stamp | undefined;

  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Reads the lines that are new, up to a chunk of them. A last line without an end is left for later.
   *
   * @returns whether there is more to read at once.
   * @throws FileError if the file cannot be read.
   */
  async read(reader: LineReader): Promise<boolean> {
    const more = await withRegularFile(this.#file, async (handle, found) => {
      if (isSame(this.#stamp, found)) return false;
      const size = Number(found.size);
      if (!(await this.#continues(handle, found))) this.#restart(reader);
      const isDone = await this.#readChunk(handle, size, reader);
      this.#stamp = isDone ? found : { ...stampOf(found), mtimeNs: -1n };
      return !isDone;
    });
    if (more === undefined && this.#stamp !== undefined) this.#restart(reader);
    return more ?? false;
  }

  #restart(reader: LineReader): void {
    this.#position = 0;
    this.#known = new Uint8Array(0);
    this.#isSkipping = false;
    if (this.#stamp !== undefined) reader.restart();
    this.#stamp = undefined;
  }

  /** Whether the file still has what was read of it, as far as its last bytes tell. */
  async #continues(handle: FileHandle, { dev, ino, size }: Stamp): Promise<boolean> {
    if (this.#stamp === undefined) return true;
    if (this.#stamp.ino !== ino || this.#stamp.dev !== dev || size < this.#position) return false;
    const from = this.#position - this.#known.length;
    const bytes = await readAt(handle, new Uint8Array(this.#known.length), from);
    return Buffer.compare(bytes, this.#known) === 0;
  }

  /** @returns whether all whole lines are read. */
  async #readChunk(handle: FileHandle, size: number, reader: LineReader): Promise<boolean> {
    const length = Math.min(CHUNK_BYTES, size - this.#position);
    const bytes = await readAt(handle, new Uint8Array(length), this.#position);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      if (this.#isSkipping) this.#isSkipping = false;
      else reader.line(this.#decoder.decode(bytes.subarray(start, end)));
      start = end + 1;
    }
    const isTooLong = start === 0 && bytes.length === CHUNK_BYTES;
    if (isTooLong) this.#isSkipping = true;
    const used = isTooLong ? bytes.length : start;
    if (used > 0) {
      this.#position += used;
      this.#known = bytes.slice(Math.max(0, used - KNOWN_BYTES), used);
    }
    return bytes.length < CHUNK_BYTES;
  }
}

function stampOf({ dev, ino, size, mtimeNs }: Stamp): Stamp {
  return { dev, ino, size, mtimeNs };
}
