/**
 * The page: what it shows, where its data come from, and what happens when they change.
 *
 * @module
 */

import type { Message, ReportData } from '../protocol.js';
import { About } from './about.js';
import { Layers, Masks } from './details.js';
import { element, newId, setShown, setText } from './dom.js';
import { time } from './data/format.js';
import { AXES, METRICS } from './data/metrics.js';
import { extentOf, Plot } from './plot.js';
import { RunsTable } from './runs.js';
import type { Axis } from './data/series.js';
import { listen } from './source.js';
import { Store } from './data/store.js';
import { themeSwitch } from './theme.js';

const store = new Store();
const plots = METRICS.map((metric) => new Plot(metric));
const runsTable = new RunsTable(show);
const layers = new Layers();
const masks = new Masks();
const about = new About();
const empty = element('p', { class: 'empty', role: 'status' }, 'Reading the runs …');
const left = element('p', { class: 'note' });
const connection = element('p', { class: 'connection', role: 'status' });
const detailed = element('select');
const sections = {
  runs: section('Runs', runsTable.frame, left),
  plots: section('Progress', controls(), element('div', { class: 'plots' }, ...plots.map(({ figure }) => figure))),
  details: section('Layers', chooser(), layers.section, masks.section),
  settings: section('Settings', about.settings),
  starts: section('Starts', about.starts),
};

function section(title: string, ...children: HTMLElement[]): HTMLElement {
  const id = newId();
  return element('section', { 'aria-labelledby': id }, element('h2', { id }, title), ...children);
}

/** Shows what the store has. */
function show(): void {
  const { runs, shown, isKnown, folder } = store;
  setShown(empty, runs.length === 0);
  if (isKnown) {
    setText(
      empty,
      `No runs yet${folder === undefined ? '' : ` in ${folder}/`}. A run that deepzero train starts there appears here.`,
    );
  }
  setShown(sections.runs, runs.length > 0);
  setShown(sections.plots, shown.length > 0);
  runsTable.update(store);
  setText(left, `${store.left} older runs are not shown: name the runs to see others.`);
  setShown(left, store.left > 0);
  const { axis, smoothing, isLogarithmic } = store;
  const settings = { axis, smoothing, isLogarithmic, extent: extentOf(shown, axis) };
  for (const plot of plots) plot.update(shown, settings);
  showDetails();
  about.update(shown);
  setShown(
    sections.settings,
    shown.some((run) => run.about !== undefined),
  );
  setShown(sections.starts, !about.starts.hidden && shown.length > 0);
}

function showDetails(): void {
  const { detailed: run, shown } = store;
  const names = shown.map(({ name }) => name);
  if ([...detailed.options].map(({ text }) => text).join('\n') !== names.join('\n')) {
    detailed.replaceChildren(...shown.map(({ id, name }) => element('option', { value: id }, name)));
  }
  if (run) detailed.value = String(run.id);
  layers.update(run);
  masks.update(run);
  const isAny = [layers, masks].some((one) => !one.section.hidden);
  setShown(sections.details, isAny || (shown.length > 1 && shown.some((one) => one.mask ?? one.gradientNorms)));
}

/** Which run's layers are shown. */
function chooser(): HTMLElement {
  detailed.addEventListener('change', () => {
    store.detailed = store.runs.find(({ id }) => String(id) === detailed.value);
    showDetails();
  });
  return element('div', { class: 'controls' }, element('label', {}, 'Run ', detailed));
}

function controls(): HTMLElement {
  const axes = element('select');
  axes.append(...Object.entries(AXES).map(([value, { title }]) => element('option', { value }, title)));
  axes.addEventListener('change', () => {
    store.axis = axes.value as Axis;
    show();
  });
  const weight = element('output', {}, String(store.smoothing));
  const range = element('input', { type: 'range', min: 0, max: 0.99, step: 0.01, value: store.smoothing });
  range.addEventListener('input', () => {
    store.smoothing = Number(range.value);
    setText(weight, range.value);
    show();
  });
  const logarithmic = element('input', { type: 'checkbox' });
  logarithmic.addEventListener('change', () => {
    store.isLogarithmic = logarithmic.checked;
    show();
  });
  return element(
    'div',
    { class: 'controls' },
    element('label', {}, 'Along ', axes),
    element('label', {}, 'Smoothing ', range, ' ', weight),
    element('label', {}, logarithmic, ' Logarithmic scale'),
  );
}

/** Draws again in other colours. */
function redraw(): void {
  for (const plot of plots) plot.redraw();
  for (const one of [layers, masks]) one.redraw();
  show();
}

let isScheduled = false;

/** Shows once, however many messages come at a time. */
function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setTimeout(() => {
    isScheduled = false;
    show();
  }, 50);
}

function receive(message: Message): void {
  store.receive(message);
  schedule();
}

function start(): void {
  const report = document.getElementById('report')?.textContent;
  const head = element('header', {}, element('h1', {}, 'deepzero'), connection, themeSwitch(redraw));
  const parts = [sections.runs, sections.plots, sections.details, sections.settings, sections.starts];
  document.getElementById('page')!.replaceWith(head, element('main', {}, empty, ...parts));
  for (const part of parts) setShown(part, false);
  if (report === undefined) {
    listen(receive, (state, text) => {
      setText(connection, text);
      connection.dataset['state'] = state;
    });
    return;
  }
  const { version, made, messages } = JSON.parse(report) as ReportData;
  setText(connection, `Report of ${time(made)}, deepzero ${version}`);
  messages.forEach((message) => {
    store.receive(message);
  });
  show();
}

start();
