/**
 * The pages of the site beside the API reference, in the order of the navigation.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../run.js';

export interface Page {
  /** From the package's folder. */
  readonly file: string;
  /** In the navigation. */
  readonly name: string;
}

/** The records of decisions, under their titles. */
function decisions(): Page[] {
  const folder = 'docs/decisions';
  return readdirSync(join(root, folder))
    .sort()
    .map((name) => {
      const [, title = name] = /^# (.+)$/m.exec(readFileSync(join(root, folder, name), 'utf8')) ?? [];
      return { file: join(folder, name), name: title };
    });
}

export const PAGES: Readonly<Record<string, readonly Page[]>> = {
  Start: [
    { file: 'docs/getting-started.md', name: 'Getting started' },
    { file: 'docs/troubleshooting.md', name: 'Troubleshooting' },
  ],
  Concepts: [
    { file: 'docs/concepts/estimators.md', name: 'Estimators' },
    { file: 'docs/concepts/masks.md', name: 'Sparsity and masks' },
    { file: 'docs/concepts/queries.md', name: 'Feature reuse and incremental queries' },
    { file: 'docs/concepts/precision.md', name: 'Precision and the smoothing parameter' },
    { file: 'docs/concepts/black-boxes.md', name: 'Black boxes' },
    { file: 'docs/concepts/ranks.md', name: 'Threads and ranks' },
  ],
  'Guides: networks': [
    { file: 'docs/guides/network.md', name: 'A custom network' },
    { file: 'docs/guides/data.md', name: 'Custom data' },
    { file: 'docs/guides/fine-tuning.md', name: 'Fine-tuning' },
    { file: 'docs/guides/outputs.md', name: 'A loss of the outputs' },
    { file: 'docs/guides/simulator.md', name: 'Through a simulator' },
  ],
  'Guides: black boxes': [
    { file: 'docs/guides/function.md', name: 'A function' },
    { file: 'docs/guides/process-or-service.md', name: 'A process or a service' },
    { file: 'docs/guides/ask-and-tell.md', name: 'Ask and tell' },
    { file: 'docs/protocol.md', name: 'The protocol' },
  ],
  'Guides: runs': [
    { file: 'docs/guides/long-runs.md', name: 'Long runs and resuming' },
    { file: 'docs/runs.md', name: 'What a run leaves' },
    { file: 'docs/guides/watch.md', name: 'Watching and comparing runs' },
    { file: 'docs/clusters.md', name: 'Clusters' },
  ],
  Results: [
    { file: 'docs/RESULTS.md', name: 'Figures of the paper' },
    { file: 'docs/black-box-results.md', name: 'Functions that only answer' },
    { file: 'examples/README.md', name: 'Examples' },
  ],
  Project: [
    { file: 'ARCHITECTURE.md', name: 'Architecture' },
    { file: 'CONTRIBUTING.md', name: 'Contributing' },
    { file: 'CHANGELOG.md', name: 'Changes' },
  ],
  Decisions: decisions(),
};

/** The headings of the API reference, and the folders of lib/ that each documents. */
export const API: Readonly<Record<string, readonly string[]>> = {
  'API: training': ['training'],
  'API: estimators': ['estimators'],
  'API: masks and pruning': ['pruning'],
  'API: optimizers': ['optimizers'],
  'API: networks': ['network'],
  'API: models': ['model'],
  'API: data': ['data'],
  'API: black boxes': ['boxes', 'objectives'],
  'API: machine, files and errors': ['native', 'ranks', 'support', ''],
};
