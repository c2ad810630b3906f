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
