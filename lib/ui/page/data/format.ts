/**
 * Numbers as people read them, with their units.
 *
 * @module
 */

/** What is shown where there is no value. */
export const NONE = '–';

/** Four digits that matter: 0.01234, 12.34, 1,234, 1.234e-7. */
export function number(value: number | null | undefined): string {
  return measured(value)
    .replace(/(\.\d*?)0+(?=e|$)/, '$1')
    .replace(/\.(?=e|$)/, '');
}

/** The same with zeros at the end, so that values that change keep their width: 0.3520, 5.000e-4. */
export function measured(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size < 1e-3 || size >= 1e7) return value.toExponential(3).replace('e+', 'e');
  return size >= 999.95 ? count(value) : value.toPrecision(4);
}

/** 1,234,567 */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** A large count in few characters: 12.3 k, 4.56 M. */
export function largeCount(value: number | undefined): string {
  if (value === undefined) return NONE;
  const units = [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e4, 'k'],
  ] as const;
  const [size, unit] = units.find(([least]) => value >= least) ?? [1, ''];
  if (unit === '') return count(value);
  return `${Number((value / (unit === 'k' ? 1e3 : size)).toPrecision(3))} ${unit}`;
}

/** 0.1234 → 12.3 % */
export function percent(fraction: number | null | undefined): string {
  if (fraction === null || fraction === undefined) return NONE;
  const value = 100 * fraction;
  return `${value !== 0 && Math.abs(value) < 0.095 ? Number(value.toPrecision(1)) : value.toFixed(1)} %`;
}

/** 42 ms, 3.1 s, 12 min, 5 h 20 min, 3 d 4 h */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || !(seconds >= 0) || seconds === Infinity) return NONE;
  if (seconds === 0) return '0 s';
  if (seconds < 0.95) return `${Number((1000 * seconds).toPrecision(2))} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  if (minutes < 48 * 60) return twoUnits(minutes, 60, 'h', 'min');
  return twoUnits(Math.round(minutes / 60), 24, 'd', 'h');
}

/** The same at a tick of an axis, in one unit. */
export function durationTick(seconds: number): string {
  if (seconds < 1) return duration(seconds);
  const [size, unit] = (
    [
      [86400, 'd'],
      [3600, 'h'],
      [60, 'min'],
      [1, 's'],
    ] as const
  ).find(([one]) => seconds >= one)!;
  return `${Number((seconds / size).toPrecision(3))} ${unit}`;
}

/** A count at a tick of an axis. */
export function shortCount(value: number): string {
  return value < 1e5 ? count(value) : `${Number((value / 1e6).toPrecision(3))} M`;
}

function twoUnits(value: number, size: number, large: string, small: string): string {
  const rest = value % size;
  return `${Math.floor(value / size)} ${large}${rest === 0 ? '' : ` ${rest} ${small}`}`;
}

/** A time in ISO 8601 in the reader's zone, to the second; the text itself if it is none. */
export function time(text: string): string {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text;
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}
