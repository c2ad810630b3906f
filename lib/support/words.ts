/**
 * Times and lengths of runs in words.
 *
 * @module
 */

/** Seconds as a person would say them. */
export function duration(seconds: number): string {
  if (seconds < 0.0095) return `${(1000 * seconds).toFixed(1)} ms`;
  if (seconds < 0.95) return `${Math.round(1000 * seconds)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  const hours = seconds / 3600;
  return hours < 99.5 ? `${hours.toFixed(1)} h` : `${Math.round(hours).toLocaleString('en-US')} h`;
}

/** `1 epoch`, `0.5 epochs` */
export function inEpochs(epochs: number): string {
  return `${epochs} epoch${epochs === 1 ? '' : 's'}`;
}
