/**
 * Waiting by the clock.
 *
 * @module
 */

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
