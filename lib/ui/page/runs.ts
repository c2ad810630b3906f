/**
 * The table of runs: which are in the plots, how far they are, and their results.
 *
 * @module
 */
import { element, scrolling, setShown, setText } from './dom.js';
import { count, duration, largeCount, NONE, number, percent } from './data/format.js';
import { colourOf } from './plot.js';
import type { Run, Store } from './data/store.js';
import { fractionDone, secondsLeft } from './data/store.js';

interface Column {
  readonly title: string;
  /** Undefined where a run has no value: a column without values is left out. */
  readonly text: (run: Run) => string | undefined;
}

function given(value: number | undefined, format: (value: number) => string): string | undefined {
  return value === undefined ? undefined : format(value);
}

function meanOf(name: string, format: (value: number) => string) {
  return ({ progress }: Run): string | undefined => given(progress?.means[name], format);
}

const COLUMNS: readonly Column[] = [
  { title: 'Step', text: stepText },
  { title: 'Time left', text: (run) => given(secondsLeft(run), duration) },
  { title: 'Loss', text: meanOf('loss', number) },
  { title: 'Accuracy', text: meanOf('accuracy', percent) },
  { title: 'Test loss', text: ({ progress }) => given(progress?.test?.loss, number) },
  { title: 'Test accuracy', text: ({ progress }) => given(progress?.test?.accuracy, percent) },
  { title: 'Best test', text: ({ progress }) => given(progress?.bestTest?.accuracy, percent) },
  { title: 'Queries/s', text: meanOf('queriesPerSecond', (value) => largeCount(value)) },
  { title: 'Queries', text: ({ progress }) => given(progress?.queries, largeCount) },
  { title: 'Failed', text: ({ progress }) => (progress && progress.failed > 0 ? count(progress.failed) : undefined) },
  { title: 'Time', text: ({ progress }) => given(progress?.seconds, duration) },
];

const STATES: Readonly<Record<string, string>> = {
  running: 'running',
  stopped: 'stopped',
  finished: 'finished',
  failed: 'failed',
  killed: 'killed',
};

/** 1,200 of 5,000 */
function stepText({ progress, status }: Run): string | undefined {
  const done = status?.step ?? (progress ? progress.step + 1 : undefined);
  if (done === undefined) return undefined;
  return status?.totalSteps === undefined ? count(done) : `${count(done)} of ${count(status.totalSteps)}`;
}

interface Row {
  readonly row: HTMLTableRowElement;
  readonly box: HTMLInputElement;
  readonly mark: HTMLElement;
  readonly name: HTMLElement;
  readonly state: HTMLElement;
  readonly bar: HTMLProgressElement;
  readonly note: HTMLElement;
  readonly cells: readonly HTMLTableCellElement[];
}

/** The table; `changed` is called when the user chooses other runs. */
export class RunsTable {
  readonly frame: HTMLElement;
  readonly #changed: () => void;
  readonly #body = element('tbody');
  readonly #heads = COLUMNS.map(({ title }) => element('th', { scope: 'col', class: 'value' }, title));
  readonly #rows = new Map<number, Row>();

  constructor(changed: () => void) {
    this.#changed = changed;
    const heads = ['Run', 'State'].map((title) => element('th', { scope: 'col' }, title));
    const head = element('thead', {}, element('tr', {}, ...heads, ...this.#heads));
    const caption = element('caption', { class: 'unseen' }, 'Runs; those that are checked are in the plots');
    this.frame = scrolling('Runs', element('table', { class: 'runs' }, caption, head, this.#body));
  }

  update({ runs }: Store): void {
    for (const [id, { row }] of this.#rows) {
      if (runs.some((run) => run.id === id)) continue;
      row.remove();
      this.#rows.delete(id);
    }
    const texts = runs.map((run) => COLUMNS.map(({ text }) => text(run)));
    const isUsed = COLUMNS.map((_, i) => texts.some((row) => row[i] !== undefined));
    this.#heads.forEach((head, i) => {
      setShown(head, isUsed[i]!);
    });
    runs.forEach((run, i) => {
      const row = this.#rows.get(run.id) ?? this.#add(run);
      if (this.#body.children[i] !== row.row) this.#body.insertBefore(row.row, this.#body.children[i] ?? null);
      row.box.checked = run.isShown;
      row.mark.style.background = colourOf(run);
      setText(row.name, run.name);
      this.#showState(run, row);
      row.cells.forEach((cell, j) => {
        setText(cell, texts[i]![j] ?? NONE);
        cell.classList.toggle('none', texts[i]![j] === undefined);
        setShown(cell, isUsed[j]!);
      });
    });
  }

  #showState(run: Run, { state, bar, note }: Row): void {
    const { status, about } = run;
    const name = status ? (STATES[status.state] ?? status.state) : run.progress ? 'unknown' : 'no steps yet';
    setText(state, name);
    state.className = `state ${status?.state ?? 'unknown'}`;
    const fraction = fractionDone(run);
    setShown(bar, fraction !== undefined && status?.state === 'running');
    bar.value = fraction ?? 0;
    bar.setAttribute('aria-label', `${run.name}: ${percent(fraction)} done`);
    const notes = [
      ...(status?.state === 'running' && status.of
        ? [`step in progress: ${Math.floor((100 * (status.done ?? 0)) / status.of)} %`]
        : []),
      ...(status?.message === undefined ? [] : [status.message]),
      ...(about?.problems ?? []),
    ];
    setText(note, notes.join('; '));
    setShown(note, notes.length > 0);
  }

  #add(run: Run): Row {
    const box = element('input', { type: 'checkbox' });
    const mark = element('span', { class: 'mark', 'aria-hidden': 'true' });
    const name = element('span', { class: 'name' });
    const state = element('span', { class: 'state' });
    const bar = element('progress', { max: 1 });
    const note = element('span', { class: 'note' });
    const cells = COLUMNS.map(({ title }) => element('td', { class: 'value', 'data-label': title }));
    const head = element('th', { scope: 'row' }, element('label', {}, box, mark, name));
    const row = element('tr', {}, head, element('td', { class: 'about' }, state, bar, note), ...cells);
    box.addEventListener('change', () => {
      run.isShown = box.checked;
      this.#changed();
    });
    const made = { row, box, mark, name, state, bar, note, cells };
    this.#rows.set(run.id, made);
    return made;
  }
}
