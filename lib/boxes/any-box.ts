/**
 * Several boxes as one: which is asked, and how long one rests that answers with failures alone.
 *
 * @module
 */
import type { Answer } from '../objectives/query.js';
import { after } from '../support/duration.js';
import { checked, integer, isObject, leaf, list } from '../support/schema.js';
import type { Box, BoxContext } from './box.js';
import { listed } from './box.js';

/** Seconds of a box's first rest, and of its longest. */
const [FIRST_REST, LONGEST_REST] = [1, 60];

/** How a call ended. One that was given up says nothing about its box. */
type End = 'succeeded' | 'failed' | 'given up';

/** A call of a box that is counted, and may begin. */
interface Place {
  readonly box: Box;
  /** Is told how the call ended; what it is told after that does not count. */
  readonly end: (end: End) => void;
}

/** One of the boxes, its calls and its rests. */
class Member {
  readonly #box: Box;
  readonly #parallel: number;
  readonly #onRoom: () => void;
  #calls = 0;
  /** `good` until a call fails, and again once one succeeds. In between it rests, and then its trial is one call at a time. */
  state: 'good' | 'resting' | 'rested' | 'on trial' = 'good';
  /** Seconds of the next rest. */
  #rest = FIRST_REST;
  #endRest = (): void => undefined;

  /** @param onRoom Is called when it may be asked more than before. */
  constructor(box: Box, parallel: number, onRoom: () => void) {
    this.#box = box;
    this.#parallel = parallel;
    this.#onRoom = onRoom;
  }

  /** The fraction of its calls that are taken. */
  get load(): number {
    return this.#calls / this.#parallel;
  }

  begin(): Place {
    const isTrial = this.state === 'rested';
    if (isTrial) this.state = 'on trial';
    this.#calls += 1;
    let isOpen = true;
    const end = (how: End): void => {
      if (!isOpen) return;
      isOpen = false;
      this.#calls -= 1;
      this.#judge(how, isTrial);
      this.#onRoom();
    };
    return { box: this.#box, end };
  }

  #judge(end: End, isTrial: boolean): void {
    // Failures of calls that began before a rest are the ones that it is for.
    const counts = this.state === (isTrial ? 'on trial' : 'good');
    if (end === 'succeeded') this.recover();
    else if (end === 'failed' && counts) this.#beginRest();
    else if (isTrial && counts) this.state = 'rested';
  }

  #beginRest(): void {
    this.state = 'resting';
    this.#endRest = after(this.#rest, () => {
      this.state = 'rested';
      this.#onRoom();
    });
    this.#rest = Math.min(2 * this.#rest, LONGEST_REST);
  }

  /** Forgets failures. */
  recover(): void {
    this.#endRest();
    this.state = 'good';
    this.#rest = FIRST_REST;
  }
}

/** A call that waits for a box. */
interface Waiting {
  readonly lastAttempt: boolean;
  readonly begin: (place: Place) => void;
}

/** The boxes, and the calls that wait for them. */
class Members {
  readonly #members: readonly Member[];
  /** In the order in which they came. */
  readonly #waiting = new Set<Waiting>();

  constructor(boxes: readonly Box[], parallels: readonly number[]) {
    const onRoom = (): void => {
      this.#shareOut();
    };
    this.#members = boxes.map((box, i) => new Member(box, parallels[i]!, onRoom));
  }

  /** A place for a call, once there is one. */
  async place({ signal, lastAttempt = false, untimed }: BoxContext): Promise<Place> {
    const free = this.#free(lastAttempt);
    if (free) return free.begin();
    const wait = new Promise<Place>((resolve, reject) => {
      const abort = (): void => {
        this.#waiting.delete(waiting);
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a reason may be anything
        reject(signal.reason);
      };
      const begin = (place: Place): void => {
        signal.removeEventListener('abort', abort);
        resolve(place);
      };
      const waiting = { lastAttempt, begin };
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.add(waiting);
    });
    return untimed ? untimed(wait) : wait;
  }

  #free(lastAttempt: boolean): Member | undefined {
    const good = this.#members.filter(({ state }) => state === 'good');
    const [free] = good.filter(({ load }) => load < 1).sort((one, other) => one.load - other.load);
    // A trial is not worth the last attempt at a query, where a good box can be waited for.
    if (free || (lastAttempt && good.length > 0)) return free;
    return this.#members.find(({ state, load }) => state === 'rested' && load < 1);
  }

  #shareOut(): void {
    for (const waiting of this.#waiting) {
      const free = this.#free(waiting.lastAttempt);
      if (!free) continue;
      this.#waiting.delete(waiting);
      waiting.begin(free.begin());
    }
  }

  recover(): void {
    for (const member of this.#members) member.recover();
  }
}

const boxList = list<readonly Box[]>(
  leaf<Box>('other', 'a box', (value) => isObject(value) && typeof value['answer'] === 'function'),
  'a non-empty list of boxes',
  ({ length }) => length > 0,
);

const isFailure = (answer: Answer): boolean => typeof answer === 'object' && 'failed' in answer;

/** How a call ended that brought no answers: it failed, also where its time was up; or nobody waits for them any more. */
function endOf({ aborted, reason }: AbortSignal): End {
  return !aborted || (reason instanceof Error && reason.name === 'TimeoutError') ? 'failed' : 'given up';
}

/**
 * Several boxes as one, for a loss that several instruments, hosts or servers compute. Each has at most `parallel` calls at a time,
 * and the one with the largest fraction of them free is asked next. A call has as many queries as the smallest `batch`.
 *
 * A box that is out of order fails soon, and would attract the queries. So a box whose call failed in all its queries rests: 1 s at
 * first, after every further failure twice as long, at most 60 s, until a call of it succeeds. Infeasible points are successes.
 * After a rest it is asked where the others have no room, by one call at a time, and not for the last attempt at a query that
 * failed before. Where all boxes fail, the one whose rest ends first is asked then. The timeout of `minimize` does not count the
 * time in which a query waits for a box.
 *
 * Failures count as those of one box do: each is an attempt at a query, of which the `retries` of `minimize` are a bound. A new box
 * is taken for one that works: where queries come one by one, let `retries` be at least the number of boxes that may not.
 *
 * @param boxes At least one.
 * @throws InvalidArgumentError if there is none, or one is no box.
 * @example
 * const box = anyBox(['red', 'blue'].map((host) => processBox('ssh', [host, 'python3', 'loss.py'])));
 * const { x, loss } = await minimize(box, x0, { ...options, timeout: 60 });
 */
export function anyBox(boxes: readonly Box[]): Box {
  const all = [...checked(boxList, boxes, 'boxes')];
  const parallels = all.map((box, i) => checked(integer(1), box.parallel ?? 1, `boxes[${i}].parallel`));
  const batches = all.map((box, i) => checked(integer(1), box.batch ?? 1, `boxes[${i}].batch`));
  const members = new Members(all, parallels);
  return {
    parallel: parallels.reduce((sum, parallel) => sum + parallel),
    batch: Math.min(...batches),
    async answer(queries, context) {
      const { signal } = context;
      signal.throwIfAborted();
      const { box, end } = await members.place(context);
      const abort = (): void => {
        end(endOf(signal));
      };
      signal.addEventListener('abort', abort, { once: true });
      try {
        signal.throwIfAborted();
        const answers = listed(await box.answer(queries, context), queries);
        end(answers.every(isFailure) ? 'failed' : 'succeeded');
        return answers;
      } catch (error) {
        end(endOf(signal));
        throw error;
      } finally {
        signal.removeEventListener('abort', abort);
      }
    },
    async close() {
      members.recover();
      const closed = await Promise.allSettled(all.map(async (box) => box.close?.()));
      for (const one of closed) if (one.status === 'rejected') throw one.reason;
    },
  };
}
