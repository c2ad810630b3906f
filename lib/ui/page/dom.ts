/**
 * Elements, made in one expression. Texts are always set as text, never as HTML: names of runs and settings come from files.
 *
 * @module
 */

type Attributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** An element with attributes and children; attributes that are undefined or false are left out. */
export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? '' : String(value));
  }
  made.append(...children);
  return made;
}

/** Sets a text if it is another one: what is selected or read aloud stays otherwise. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Shows or hides an element. */
export function setShown(target: HTMLElement, isShown: boolean): void {
  if (target.hidden === isShown) target.hidden = !isShown;
}

let ids = 0;

/** A new id, to connect elements with their labels. */
export function newId(): string {
  return `e${ids++}`;
}

/** A table in a frame that scrolls sideways, also by keyboard. */
export function scrolling(label: string, table: HTMLElement): HTMLElement {
  return element('div', { class: 'scrolling', role: 'region', tabindex: 0, 'aria-label': label }, table);
}

/** A table of texts; the first row is its head, the first column names the rows. */
export function tableOf(caption: string, rows: readonly (readonly string[])[]): HTMLTableElement {
  const [head, body] = [element('thead', {}, element('tr')), element('tbody')];
  const table = element('table', {}, element('caption', { class: 'unseen' }, caption), head, body);
  fillTable(table, rows);
  return table;
}

/** Puts other rows into a table of `tableOf`, in place: what is focused, scrolled or selected stays. */
export function fillTable(table: HTMLTableElement, [head = [], ...rows]: readonly (readonly string[])[]): void {
  const body = table.tBodies[0]!;
  fillRow(table.tHead!.rows[0]!, head, () => element('th', { scope: 'col' }));
  fit(body, rows.length, () => element('tr'));
  rows.forEach((texts, i) => {
    const row = body.rows[i]!;
    fillRow(row, texts, (at) => (at === 0 ? element('th', { scope: 'row' }) : element('td')));
    texts.forEach((_, at) => {
      if (at > 0) row.cells[at]!.dataset['label'] = head[at] ?? '';
    });
  });
}

function fillRow(row: HTMLTableRowElement, texts: readonly string[], make: (at: number) => HTMLElement): void {
  fit(row, texts.length, make);
  texts.forEach((text, at) => {
    setText(row.cells[at]!, text);
  });
}

/** Adds or removes the last children until there are so many. */
function fit(parent: Element, length: number, make: (at: number) => HTMLElement): void {
  while (parent.children.length > length) parent.lastElementChild!.remove();
  while (parent.children.length < length) parent.append(make(parent.children.length));
}

/** A variable of the style sheet, such as a colour. */
export function styleOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
