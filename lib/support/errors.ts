/**
 * The errors that the library throws, and how a wrong value looks in a message: `Expected <name> to be <constraint>,
 * received <value>`, quoted, on one line, shortened.
 *
 * @module
 */

/**
 * An error in what the caller passed. `code` is stable; `option` is the key of the option at fault, if it is one, and the
 * message names it and how to fix it.
 */
export class InvalidArgumentError extends TypeError {
  /** Stable, for programs. */
  readonly code = 'DEEPZERO_INVALID_ARGUMENT';
  /** The class. */
  override readonly name = 'InvalidArgumentError';
  /** The option at fault, `mu` or `sparsity`; undefined where no single option is. */
  readonly option: string | undefined;
  readonly #message: (name: string) => string;

  /** @param message The text, or for an option the text given the name that it goes by. */
  constructor(
    message: string | ((name: string) => string),
    { option, ...options }: ErrorOptions & { option?: string } = {},
  ) {
    const text = typeof message === 'string' ? (): string => message : message;
    super(text(option ?? ''), options);
    this.option = option;
    this.#message = text;
  }

  /** The same error where the option goes by another name, such as `--batch-size` on a command line. */
  renamed(name: string): InvalidArgumentError {
    if (this.option === undefined) return this;
    return new InvalidArgumentError(this.#message, { option: name, cause: this });
  }
}

/**
 * An error in a file's content or name; the message starts with the file's path. `option` is the key of the option that
 * would supply what the file lacks, if there is one.
 */
export class FileError extends Error {
  /** Stable, for programs. */
  readonly code = 'DEEPZERO_FILE';
  /** The class. */
  override readonly name = 'FileError';
  /** The file's path. */
  readonly file: string;
  /** The option that would supply what the file lacks; undefined where there is none. */
  readonly option: string | undefined;
  readonly #problem: (name: string) => string;

  /** @param problem A text, or for an option the text given the name that it goes by. */
  constructor(
    file: string,
    problem: string | ((name: string) => string),
    { option, ...options }: ErrorOptions & { option?: string } = {},
  ) {
    const text = typeof problem === 'string' ? (): string => problem : problem;
    super(`${escaped(file)}: ${text(option ?? '')}`, options);
    this.file = file;
    this.option = option;
    this.#problem = text;
  }

  /** The same error where the option goes by another name. */
  renamed(name: string): FileError {
    if (this.option === undefined) return this;
    return new FileError(this.file, this.#problem, { option: name, cause: this });
  }

  /** The same error with more at the end of its message, such as what to do. */
  followedBy(more: string): FileError {
    const { option } = this;
    const problem = (name: string): string => `${this.#problem(name)}${more}`;
    return new FileError(this.file, problem, { ...(option !== undefined && { option }), cause: this });
  }
}

/** The longest text that a message quotes. */
const MOST_QUOTED = 80;

/** A text with its control characters, and what else would not be seen, as `\u001b`. */
export function escaped(text: string): string {
  return text.replace(
    // eslint-disable-next-line no-control-regex -- these are the ones to replace
    /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** A text without its middle where it is long. */
function shortened(text: string): string {
  return text.length <= MOST_QUOTED ? text : `${text.slice(0, MOST_QUOTED - 20)}…${text.slice(-15)}`;
}

/** A text in a message: quoted, control characters escaped, shortened in the middle. */
export function quote(text: string): string {
  // JSON leaves DEL, the C1 controls and the line separators of Unicode as they are.
  return escaped(JSON.stringify(shortened(text)));
}

/** A name in what the command says: control characters escaped, shortened in the middle. */
export function inline(text: string): string {
  return escaped(shortened(text));
}

/** The name of a tensor, a network or the like in a message: quoted unless it is made of letters, digits, `.`, `_` and `-`. */
export function label(name: string): string {
  return name.length <= MOST_QUOTED && /^[\w.-]+$/.test(name) ? name : quote(name);
}

/** Lists in lists that a message shows. */
const MOST_NESTED = 3;

/** Any value in a message: short, on one line. */
export function show(value: unknown): string {
  return shown(value, MOST_NESTED);
}

function shown(value: unknown, levels: number): string {
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) {
    const items = value.length <= 8 && levels > 0 ? value.map((item) => shown(item, levels - 1)).join(', ') : undefined;
    return items === undefined ? `an array of ${value.length}` : `[${items}]`;
  }
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name} of ${(value as Uint8Array).length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

/** Names that a message lists. */
const MOST_LISTED = 30;

/** `; did you mean "x"?`, or the list of what is known when nothing is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const more = known.length > MOST_LISTED ? ` and ${known.length - MOST_LISTED} more` : '';
  return nearest(word, known) || `; known are ${known.slice(0, MOST_LISTED).map(label).join(', ')}${more}`;
}

/** `; did you mean "x"?`, of equally near ones the one that starts with the word, or nothing when none is near. */
export function nearest(word: string, known: readonly string[]): string {
  // The distance takes time of the order of the lengths' product.
  if (word.length > MOST_QUOTED) return '';
  const begins = (candidate: string): number => Number(candidate.startsWith(word));
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .filter(({ candidate, distance }) => distance <= Math.max(2, Math.floor(candidate.length / 3)))
    .sort((a, b) => a.distance - b.distance || begins(b.candidate) - begins(a.candidate))[0];
  return near ? `; did you mean ${quote(near.candidate)}?` : '';
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
