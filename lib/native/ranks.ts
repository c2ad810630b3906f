/**
 * The types of the addon's ranks. All calls wait.
 *
 * @module
 */

/** What MPI connected. */
export interface NativeRanksStarted {
  rank: number;
  count: number;
  /** What the library says of itself. */
  library: string;
}

export interface NativeRanks {
  /**
   * Loads MPI's library, by its path or by a name that the system looks up, and joins the other ranks: once in a process.
   *
   * @param patience Seconds for which others are waited for, here and later.
   * @returns Undefined if they do not come: then the process can only end.
   * @throws Error of the system if it cannot be loaded; then another may be tried.
   */
  start(library: string, patience: number): NativeRanksStarted | undefined;
  /** Every rank's text, of at most 512 bytes in UTF-8, on every rank. */
  agree(text: string): string[];
  /** Of rank 0: estimates of networks, of their outputs and of rollouts are shared from now on. */
  lead(): void;
  /** Of the others: computes what rank 0 wants, until that leaves. */
  follow(): void;
  /** How many ranks share estimates: 1 unless this one leads. */
  count(): number;
  /**
   * Cancels what is computed, and leaves the other ranks; of rank 0, lets them go. False if a computation has lost them. For a
   * process that is about to end.
   *
   * @param code The exit code, from 0 to 255.
   * @throws Error if they are lost now.
   */
  leave(code: number): boolean;
  /** The end of this process will end all other ranks too, with an exit code from 1 to 255; nothing may be computed any more. */
  abortAtExit(code: number): void;
}
