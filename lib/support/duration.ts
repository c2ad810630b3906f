/**
 * Time: as text, how long to wait, and how long to work without a pause.
 *
 * @module
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Seconds as text, in the unit and the precision that suit their size: `42 ms`, `3.1 s`, `12 min`, `5.0 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 0.0095) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 0.95) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 9.95 * 60) return `${(seconds / 60).toFixed(1)} min`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  const hours = seconds / 3600;
  return hours < 99.5 ? `${hours.toFixed(1)} h` : `${Math.round(hours).toLocaleString('en-US')} h`;
}

/** The longest delay of Node's timers; a longer one would end at once. */
const LONGEST_MS = 2 ** 31 - 1;

/**
 * Calls `action` once after that many seconds, however many; never if they are infinitely many.
 *
 * @returns what cancels the call.
 */
export function after(seconds: number, action: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const wait = (ms: number): void => {
    timer = setTimeout(
      () => {
        if (ms > LONGEST_MS) wait(ms - LONGEST_MS);
        else action();
      },
      Math.min(ms, LONGEST_MS),
    );
  };
  if (seconds !== Infinity) wait(1000 * seconds);
  return () => {
    clearTimeout(timer);
  };
}

/** Calls `action` once after that many seconds, in which the time of some promises is not counted. */
export class Countdown {
  readonly #action: () => void;
  #left: number;
  /** Promises whose time is not counted. */
  #waits = 0;
  #isOver = false;
  #stop = (): void => undefined;

  constructor(seconds: number, action: () => void) {
    this.#action = action;
    this.#left = seconds;
    this.#start();
  }

  #start(): void {
    const since = performance.now();
    const stop = after(this.#left, () => {
      this.#isOver = true;
      this.#action();
    });
    this.#stop = () => {
      stop();
      this.#left -= (performance.now() - since) / 1000;
    };
  }

  /** What a promise yields, whose time is not counted. */
  async without<T>(wait: Promise<T>): Promise<T> {
    if (this.#waits++ === 0) this.#stop();
    try {
      return await wait;
    } finally {
      if (--this.#waits === 0 && !this.#isOver) this.#start();
    }
  }

  /** Never calls `action`, unless it did. */
  cancel(): void {
    this.#isOver = true;
    this.#stop();
  }
}

/** What a promise yields; the signal's reason once that aborts, for work that does not look at it. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a reason may be anything
      reject(signal.reason);
    };
  });
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** Milliseconds after which other work of the process has a turn. */
const TURN_MS = 20;

/** What a loop awaits in every round, so that other work of the process has a turn every 20 ms. */
export function givingTurns(): () => Promise<void> {
  let turn = performance.now();
  return async () => {
    if (performance.now() - turn <= TURN_MS) return;
    await nextTurn();
    turn = performance.now();
  };
}
