/**
 * The examples in docstrings, as modules that a type checker can read.
 *
 * @module
 */
import { join } from 'node:path';
import ts from 'typescript';
import { filesUnder, root } from '../../scripts/run.js';

export interface Example {
  /** The top-level declaration that it belongs to. */
  readonly name: string;
  readonly path: string;
  readonly code: string;
}

/** The examples in a source file. */
export function examplesIn(path: string, text: string): Example[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: Example[] = [];
  const visit = (node: ts.Node, name: string): void => {
    for (const tag of ts.getJSDocTags(node)) {
      if (tag.tagName.text !== 'example' || tag.parent.parent !== node) continue;
      found.push({ name, path, code: ts.getTextOfJSDocComment(tag.comment) ?? '' });
    }
    ts.forEachChild(node, (child) => {
      visit(child, name);
    });
  };
  for (const statement of source.statements) {
    visit(statement, (statement as { name?: ts.Node } & ts.Statement).name?.getText() ?? '');
  }
  return found;
}

/** What the package exports. */
export const EXPORTED: ReadonlySet<string> = exportedNames(join(root, 'lib/index.ts'));

function exportedNames(file: string): Set<string> {
  const source = ts.createSourceFile(file, ts.sys.readFile(file) ?? '', ts.ScriptTarget.Latest);
  const clauses = source.statements.filter(ts.isExportDeclaration).flatMap(({ exportClause }) => exportClause ?? []);
  return new Set(
    clauses.flatMap((clause) =>
      ts.isNamespaceExport(clause) ? [clause.name.text] : clause.elements.map(({ name }) => name.text),
    ),
  );
}

/** The examples of everything that the package exports. */
export const EXAMPLES: readonly Example[] = filesUnder('lib')
  .flatMap((path) => examplesIn(path, ts.sys.readFile(join(root, path)) ?? ''))
  .filter(({ name }) => EXPORTED.has(name));

/** What examples take for granted, by name. */
const GIVEN: Readonly<Record<string, string>> = {
  ...{ model: 'Model', network: 'Network', batch: 'Batch', trainSet: 'ImageDataset', testSet: 'ImageDataset' },
  ...{
    estimator: 'Estimator',
    optimizer: 'Optimizer',
    ratios: 'LayerRatios',
    run: 'TrainRun',
    options: 'MinimizeOptions',
  },
  ...{ x0: 'number[]', chip: 'LossFunction', budget: '{ steps: number }', progress: 'object' },
  ...{ loss: '(x: Float64Array) => number', f: '(x: Float64Array) => number', reward: '(x: Float64Array) => number' },
  ...{ labels: 'Uint8Array', classNames: 'string[]', data: 'Float32Array' },
  ...{ inputs: 'Float32Array', outputs: 'Float32Array' },
  // Bytes of a data set, and numbers of a prediction.
  images: 'any',
};

/** An example as a module: with what it uses of the package, and what it takes for granted. */
export function moduleOf({ code }: Pick<Example, 'code'>): string {
  const source = ts.createSourceFile('example.ts', code, ts.ScriptTarget.Latest, true);
  const declared = new Set<string>();
  const used = new Set<string>();
  const imports: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) imports.push(node.getText());
    if (ts.isIdentifier(node)) {
      const { parent } = node;
      const isDeclared =
        (ts.isVariableDeclaration(parent) ||
          ts.isBindingElement(parent) ||
          ts.isParameter(parent) ||
          ts.isFunctionDeclaration(parent) ||
          ts.isImportSpecifier(parent) ||
          ts.isClassDeclaration(parent)) &&
        parent.name === node;
      const isMember =
        (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
        (ts.isPropertyAssignment(parent) && parent.name === node) ||
        (ts.isBindingElement(parent) && parent.propertyName === node);
      if (isDeclared) declared.add(node.text);
      else if (!isMember) used.add(node.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  const free = [...used].filter((name) => !declared.has(name));
  const given = free.filter((name) => name in GIVEN);
  const imported = free.filter((name) => EXPORTED.has(name) && !given.includes(name));
  const types = [...new Set(given.flatMap((name) => GIVEN[name]!.match(/\b[A-Z]\w+/g) ?? []))].filter((name) =>
    EXPORTED.has(name),
  );
  const names = [...new Set([...imported, ...types])];
  const body = source.statements
    .filter((statement) => !ts.isImportDeclaration(statement))
    .map((statement) => statement.getFullText())
    .join('');
  return [
    ...imports,
    names.length > 0 ? `import { ${names.join(', ')} } from 'deepzero';` : '',
    ...given.map((name) => `declare const ${name}: ${GIVEN[name]!};`),
    `export async function example() {${body}\n}`,
  ].join('\n');
}
