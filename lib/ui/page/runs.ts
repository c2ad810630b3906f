/**
 * The table of runs: which are in the plots, how far they are, and their results.
 *
 * @module
 */
import { element, scrolling, setShown, setText } from './dom.js';
import { count, duration, largeCount, measured, NONE, percent } from './data/format.js';
import { colourOf } from './plot.js';
import type { Run, Store } from './data/store.js';
import { fractionDone, secondsLeft } from './data/store.js';

interface Column {
  readonly title: string;
  /** Undefined where a run has no value: a column without values is left out. */
  readonly text: (run: Run) => string | undefined;
}

function given(value: number | null | undefined, format: (value: number) => string): string | undefined {
  return value === null || value === undefined ? undefined : format(value);
}

const COLUMNS: readonly Column[] = [
  { title: 'Step', text: stepText },
  { title: 'Time left', text: (run) => given(secondsLeft(run), duration) },
  { title: 'Loss', text: ({ summary }) => given(summary?.loss, measured) },
  { title: 'Accuracy', text: ({ summary }) => given(summary?.accuracy, percent) },
  { title: 'Test loss', text: ({ summary }) => given(summary?.test?.loss, measured) },
  { title: 'Test accuracy', text: ({ summary }) => given(summary?.test?.accuracy, percent) },
  { title: 'Best test', text: ({ totals }) => given(totals?.bestTest, percent) },
  { title: 'Queries/s', text: ({ summary }) => given(summary?.queriesPerSecond, largeCount) },
  { title: 'Queries', text: ({ summary }) => given(summary?.queries, largeCount) },
  { title: 'Failed', text: ({ totals }) => given(totals?.failed === 0 ? undefined : totals?.failed, count) },
  { title: 'Time', text: ({ summary }) => given(summary?.seconds, duration) },
];

/** 1,200 of 5,000 */
function stepText({ summary }: Run): string | undefined {
  if (!summary) return undefined;
  const { steps, totalSteps } = summary;
  return totalSteps === null ? count(steps) : `${count(steps)} of ${count(totalSteps)}`;
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
    const { state: name = 'unknown', message = null, inProgress = null, problems = [] } = run.summary ?? {};
    setText(state, name);
    state.className = `state ${name}`;
    const fraction = fractionDone(run);
    setShown(bar, fraction !== undefined && name === 'running');
    bar.value = fraction ?? 0;
    bar.setAttribute('aria-label', `${run.name}: ${percent(fraction)} done`);
    const notes = [
      ...(inProgress ? [`step in progress: ${Math.floor((100 * inProgress.done) / inProgress.of)} %`] : []),
      ...(message === null ? [] : [message]),
      ...problems,
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
