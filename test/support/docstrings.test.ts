/**
 * The docstring of an option says its default and its range as the schema does.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import ts from 'typescript';
import { boolean, factsOf, integer, oneOf, positive } from '../../lib/support/schema.js';
import * as v from 'valibot';

type Schema = Parameters<typeof factsOf>[0];

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';
const power = (exponent: number): string =>
  String(exponent).replace(/\d/g, (digit) => SUPERSCRIPTS.charAt(Number(digit)));

/** A bound as docstrings write it: 1202, 2²⁰, 2³¹ − 1. */
function written(bound: number): string {
  const exponent = Math.log2(bound);
  if (bound >= 2 ** 16 && Number.isInteger(exponent)) return `2${power(exponent)}`;
  const above = Math.log2(bound + 1);
  return bound >= 2 ** 16 && Number.isInteger(above) ? `2${power(above)} − 1` : String(bound);
}

/** What the docstring of an option must hold. */
function required(schema: Schema): string[] {
  const { constraint, choices = [], default: standard } = factsOf(schema) as Partial<ReturnType<typeof factsOf>>;
  const needed = choices.map((choice) => `\`${choice}\``);
  if (constraint === 'a number >= 0 and < 1') needed.push('[0, 1)');
  else if (constraint !== undefined) {
    const [, low, high] = /^an integer from (\d+) to (\d+)$/.exec(constraint) ?? [];
    if (high !== undefined) needed.push(`from ${low} to ${written(Number(high))}`);
    const [range] = /(?<=^an integer |^a finite number |^a number )[<>]=? \S+(?: and <= \S+)?/.exec(constraint) ?? [];
    if (range !== undefined) needed.push(range);
  }
  if (typeof standard === 'string') needed.push(`efault: \`${standard}\``);
  else if (Array.isArray(standard)) needed.push(`efault: [${standard.join(', ')}]`);
  else if (typeof standard === 'number' && standard > 0 && standard < 0.01)
    needed.push(`efault: ${standard.toExponential()}`);
  else if (typeof standard === 'number' || typeof standard === 'boolean') needed.push(`efault: ${standard}`);
  return needed;
}

interface Option {
  readonly key: string;
  readonly doc: string;
}

/** The options that a source file writes in objects of a schema, by the name of the constant. */
function optionsIn(text: string): Map<string, Option[]> {
  const source = ts.createSourceFile('file.ts', text, ts.ScriptTarget.Latest, true);
  const found = new Map<string, Option[]>();
  const visit = (node: ts.Node): void => {
    if (ts.isVariableDeclaration(node) && node.initializer && ts.isCallExpression(node.initializer)) {
      const [object] = node.initializer.arguments;
      if (
        /\bstrictObject$/.test(node.initializer.expression.getText()) &&
        object &&
        ts.isObjectLiteralExpression(object)
      ) {
        const options = object.properties.filter(ts.isPropertyAssignment).map((property) => ({
          key: property.name.getText(),
          doc: text.slice(property.getFullStart(), property.getStart()).replace(/\s*\n\s*\*\s*/g, ' '),
        }));
        found.set(node.name.getText(), options);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** What docstrings lack. */
function lacking(options: readonly Option[], entries: Readonly<Record<string, Schema>>): string[] {
  return options.flatMap(({ key, doc }) =>
    required(entries[key]!)
      .filter((needed) => !doc.includes(needed))
      .map((needed) => `${key}: ${needed}`),
  );
}

describe('docstrings of options', () => {
  const rooms = [
    'native',
    'data',
    'model',
    'optimizers',
    'estimators',
    'pruning',
    'network',
    'training',
    'objectives',
    'boxes',
  ];
  const files = rooms
    .flatMap((room) =>
      readdirSync(`lib/${room}`, { recursive: true, encoding: 'utf8' }).map((name) => `lib/${room}/${name}`),
    )
    .filter((file) => file.endsWith('.ts'));

  for (const file of files) {
    it(`say the defaults and ranges of their schemas: ${file}`, async () => {
      const module = (await import(`../../${file.replace(/\.ts$/, '.js')}`)) as Record<string, unknown>;
      for (const [name, options] of optionsIn(await readFile(file, 'utf8'))) {
        const schema = module[name] as { entries: Record<string, Schema> } | undefined;
        const documented = options.some(({ doc }) => doc.includes('/**'));
        if (schema) assert.deepEqual(lacking(options, schema.entries), [], name);
        else assert.ok(!documented, `${name} has docstrings that nothing checks: export it`);
      }
    });
  }

  it('are read', async () => {
    const options = optionsIn(await readFile('lib/estimators/cge.ts', 'utf8')).get('cgeOptions');
    assert.deepEqual(
      options?.map(({ key }) => key),
      ['mu', 'central', 'reuse'],
    );
  });

  it('that say another default, range or choice are caught', () => {
    const text = `
      const wrong = v.strictObject({
        /** > 0; default: 3. */
        a: v.optional(positive, 2),
        /** An integer from 1 to 2³¹ − 1. */
        b: integer(1, 2 ** 20),
        /** Whether; default: true. */
        c: v.optional(boolean, false),
        /** \`x\`. */
        d: oneOf(['x', 'y']),
        /** Right: from 1 to 2²⁰; default: 4. */
        e: v.optional(integer(1, 2 ** 20), 4),
      });`;
    const entries = {
      a: v.optional(positive, 2),
      b: integer(1, 2 ** 20),
      c: v.optional(boolean, false),
      d: oneOf(['x', 'y']),
      e: v.optional(integer(1, 2 ** 20), 4),
    };
    assert.deepEqual(lacking(optionsIn(text).get('wrong')!, entries), [
      'a: efault: 2',
      'b: from 1 to 2²⁰',
      'c: efault: false',
      'd: `y`',
    ]);
  });
});
