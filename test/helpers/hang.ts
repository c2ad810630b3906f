/**
 * How long anything may take in a test before it counts as a hang. No test fails for being slow.
 *
 * @module
 */

/** After that time, in milliseconds, a child process hangs and is ended: before mocha's own timeout. */
export const HANG_MS = 540_000;
