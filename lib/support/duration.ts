/**
 * Seconds: as text, and to wait for.
 *
 * @module
 */

/** Seconds as text, in the unit and the precision that suit their size: `42 ms`, `3.1 s`, `12 min`, `5.0 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 0.0095) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 0.95) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
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
