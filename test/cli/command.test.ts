import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { version } from '../../lib/support/version.js';
import { COMMAND, deepzero, fails, json, outcomeOf, TINY, writeImages } from '../helpers/command.js';
import { withFolder } from '../helpers/tiny.js';

const COMMANDS = ['train', 'ui', 'report', 'prune', 'eval', 'gradcheck', 'data synthetic', 'data info', 'info'];

/** As many at a time as run side by side without crowding a small machine. */
function* inFours<T>(items: readonly T[]): Generator<T[]> {
  for (let i = 0; i < items.length; i += 4) yield items.slice(i, i + 4);
}

describe('deepzero', () => {
  it('lists its commands and says its version', async () => {
    const [help, without, ofVersion] = await Promise.all([deepzero(['--help']), deepzero([]), deepzero(['--version'])]);
    for (const name of COMMANDS) assert.match(help.stdout, new RegExp(`^  ${name} `, 'm'));
    assert.deepEqual([help.code, help.stderr], [0, '']);
    assert.deepEqual([without.code, without.stdout, without.stderr], [2, '', help.stdout]);
    assert.equal(ofVersion.stdout, `${version}\n`);
    const [short, ...ofInfo] = await Promise.all(['-h', 'info -h', 'info --help', 'help info'].map((line) => deepzero(line.split(' ')))); // prettier-ignore
    assert.equal(short!.stdout, help.stdout);
    assert.equal((await deepzero(['-v'])).stdout, `${version}\n`);
    assert.match(help.stdout, /--version/);
    assert.match(ofInfo[0]!.stdout, /^Usage: deepzero info/);
    assert.equal(new Set(ofInfo.map(({ stdout }) => stdout)).size, 1);
  });

  it('has help for every command', async () => {
    const outcomes = await Promise.all(COMMANDS.map((name) => deepzero([...name.split(' '), '--help'])));
    outcomes.forEach(({ code, stdout }, i) => {
      assert.equal(code, 0);
      assert.ok(stdout.startsWith(`Usage: deepzero ${COMMANDS[i]!} `), stdout);
      assert.match(stdout, /^ {2}--json /m);
      for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line);
    });
    assert.match(
      outcomes[COMMANDS.indexOf('prune')]!.stdout,
      /--sparsity <N> .*\(default: 0\.9; on synthetic data:\s+0\.99\)/,
    );
  });

  it('refuses bad usage with exit code 2 and names what is near', async () => {
    const cases: [string, RegExp][] = [
      ['trian', /Unknown command "trian"; did you mean "train"\?$/],
      ['data', /Expected deepzero data synthetic or deepzero data info$/],
      ['help data infos', /Unknown command "data infos"; did you mean "info"\?$/],
      ['experiment fig2', /unknown command 'fig2' \(Did you mean one of fig1, /],
      ['experiment plot', /unknown command 'plot'$/],
      ['prune --ou x', /Unknown option "--ou"; did you mean "--out"\?$/],
      ['train --batchSize 3', /Unknown option "--batchSize"; did you mean "--batch-size"\?$/],
      ['train --dry-run=1', /--dry-run takes no value$/],
      ['train -- --lr 0.1', /--lr comes after --, where options end$/],
      ['train --version', /Unknown option "--version"; --help lists the options$/],
      [
        'train --ratios grsp',
        /Expected --ratios to be .*, or a file that exists, received "grsp"; did you mean "grasp"\?$/,
      ],
      ['train --ratios none.json', /Expected --ratios to be one of zo-grasp, .*, received "none\.json"$/],
      ['experiment fig3 --quick --search-budget 9', /Expected --search-budget to be at least \d+, /],
      ['experiment fig3 --budget 9', /Expected --budget to be at least \d+, the .* of a step of DeepZero, received 9$/],
      ['data info', /missing required argument 'DIR\|synthetic'$/],
      ['info extra', /Expected deepzero info \[options\]: unexpected "extra"$/],
      ['train --sparsty 0.9', /Unknown option "--sparsty"; did you mean "--sparsity"\?$/],
      ['train -n 3', /Unknown option "-n"; --help lists the options$/],
      ['train -sparsity 3', /Unknown option "-sparsity"; did you mean "--sparsity"\?$/],
      ['train --seed 1e30', /Expected --seed to be an integer from 0 to 9007199254740991, received 1e\+30$/],
      ['train --ratios file --sparsity 0.3', /--sparsity cannot be used with --ratios FILE: the file has/],
      ['--threads 2 train', /Expected deepzero COMMAND \[options\]: "--threads" stands before the command$/],
      ['train --mu', /Expected a value after --mu: N, received "--json"$/],
      ['train --mu --lr 1', /Expected a value after --mu: N, received "--lr"$/],
      ['train --json=3', /--json takes no value$/],
      ['train --mu 0', /Expected --mu to be a finite number > 0 that float32 can hold, received 0$/],
      ['train --mu x', /Expected --mu to be a finite number > 0 that float32 can hold, received "x"$/],
      ['train --lr=', /Expected --lr to be a finite number > 0, received ""$/],
      ['train --sparsity 1', /Expected --sparsity to be a number >= 0 and < 1, received 1$/],
      ['train --batch-size 2.5', /Expected --batch-size to be an integer >= 1, received 2\.5$/],
      ['train --network vgg', /Expected --network to be one of resnet20, resnet, cnn, received "vgg"$/],
      ['train --network cnn --depth 6', /Expected --depth to be an integer from 1 to 5, received 6$/],
      ['info --network cnn --depth 6', /^deepzero: Expected --depth to be an integer from 1 to 5, received 6$/],
      ['info --network resnet --depth 7', /Expected --depth to be 6n \+ 2 /],
      ['train --depth 20', /--depth requires --network resnet or cnn, not resnet20$/],
      [
        'train --estimator rge --grasp-queries 7',
        /--grasp-queries requires --estimator sparse-cge or first-order, not rge$/,
      ],
      ['train --mu 1e-60', /Expected --mu to be a finite number > 0 that float32 can hold, received 1e-60$/],
      [
        'train --estimator first-order --redraw-every 3',
        /--redraw-every requires --sparsity above 0 with --estimator first-order$/,
      ],
      [
        'bench forward --batch-size 2000000',
        /Expected --batch-size to be an integer from 1 to 1000000, received 2000000$/,
      ],
      ['train --queries 9', /--queries requires --estimator rge, not sparse-cge$/],
      ['train --steps 3 --epochs 1', /Expected --epochs or --steps, received both$/],
      [
        'train --steps 3 --warmup-epochs 1',
        /Expected --warmup-epochs to be at most 0\.00962, the run's length, received 1$/,
      ],
      [
        'train --batch-size 5001',
        /Expected --batch-size to be at most 5000, the images in data set "synthetic train", received 5001$/,
      ],
      ['train --samples-per-class 501', /Expected --samples-per-class to be at most 500, .*, received 501$/],
      ['train --resume runs --mu 1', /--mu cannot be used with --resume: .* can change --steps, --epochs, --lr, /],
      ['experiment fig5 --batch-size 5001', /Expected --batch-size to be at most 5000, .*, received 5001$/],
      ['experiment fig4 --samples-per-class 501', /Expected --samples-per-class to be at most 500, .*, received 501$/],
      ['eval', /Expected --weights FILE$/],
      ['eval --weights x', /Expected --data DIR\|synthetic$/],
      ['eval --weights x --mean 1,2', /Expected --mean to be a list of 3 finite numbers, .*, received \[1, 2\]$/],
      ['eval --weights x --mean a,b,c', /Expected --mean to be a list of 3 finite numbers, .*, received "a,b,c"$/],
      ['eval --mean 123,116,103', /--mean\[0\] to be a number from 0 to 1, .* by 255\), received 123$/],
      ['eval --weights x --data synthetic --std 1,0,1', /--std\[1\] to be a number from \S+ to 10, .*, received 0$/],
      [
        'gradcheck --batch-size 1001',
        /Expected --batch-size to be at most 1000, the images in data set "synthetic test"/,
      ],
      [
        'gradcheck --network cnn --count 12611',
        /Expected --count to be at most 12610, the parameters, received 12611$/,
      ],
      [
        'gradcheck --network cnn --mu 1e-44',
        /Expected the loss to depend on a coordinate, received a reference of 0 at all \d+: .* or a larger mu than 1e-44$/,
      ],
      ['train --[31m', /Unknown option "--\\u001b\[31m"; --help lists the options$/],
      ['eval', /Expected --weights FILE$/],
      [
        'info --network resnet --depth 2147483648',
        /Expected --depth to be 6n \+ 2 from 8 to \d+ .*, received 2147483648$/,
      ],
      ['info --network resnet --width 3', /Expected --width to be an even integer from 2 to \d+, received 3$/],
      ['info --network cnn --width 1e15', /Expected --width to be .* to \d+, received 1000000000000000$/],
      ['eval --threads 1e9', /Expected --threads to be an integer from 1 to \d+, received 1000000000$/],
      ['eval --batch-size 0', /Expected --batch-size to be an integer >= 1, received 0$/],
      [`info ${'x'.repeat(3000)}`, /^.{1,200}: unexpected "x+…x+"$/],
      ['eval --memory 5', /Expected --weights FILE$/],
      ['train --memory 0', /Expected --memory to be a number > 0 of B, KB, .*, such as 500MB, received "0"$/],
      ['train --memory 5XB', /Expected --memory to be a number > 0 of B, KB, .*, received "5XB"$/],
      [
        'gradcheck --network cnn --memory 1MB',
        /Expected --memory to be at least [\d.]+MB for 16 images on one thread, received 1MB: raise --memory, or use a smaller batch/,
      ],
      ['gradcheck --count 3 --coordinates x', /Expected --coordinates or --count, received both$/],
      ['data synthetic', /Expected --out DIR$/],
    ];
    for (const some of inFours(cases)) {
      await Promise.all(some.map(([line, message]) => fails(line.split(' '), 2, message)));
    }
  });

  it('reports an addon that does not start like any other error', async () => {
    const without = { env: { DEEPZERO_ISA: 'abacus' } };
    await fails(['info'], 1, /DEEPZERO_ISA/, without);
    assert.equal((await deepzero(['--version'], without)).stdout, `${version}\n`);
    assert.equal((await deepzero(['train', '--help'], without)).code, 0);
  });

  it('says in one line that its output cannot be written', async () => {
    const [program, ...first] = COMMAND;
    const full = ['-c', 'exec "$0" "$@" > /dev/full', program, ...first];
    const { code, stderr } = await outcomeOf(spawn('sh', [...full, 'info']));
    assert.equal(code, 1);
    assert.match(stderr, /^deepzero: standard output: .*no space left on device.*\n$/);
  });

  it('shows a stack trace when asked to', async () => {
    const { stderr } = await deepzero(['train', '--mu', '0'], { env: { DEEPZERO_DEBUG: '1' } });
    assert.match(stderr, /^deepzero: Expected --mu .*\n(.*\n)*\s+at /);
  });
});

describe('deepzero info', () => {
  it('says what runs here', async () => {
    const machine = await json(['info']);
    assert.equal(machine['version'], version);
    assert.ok((machine['supportedIsas'] as string[]).includes(machine['isa'] as string));
    assert.ok((machine['cores'] as number) >= 1);
    const portable = await json(['info'], { env: { DEEPZERO_ISA: 'portable' } });
    assert.equal(portable['isa'], 'portable');
  });

  it('lists the layers of a network', async () => {
    const { parameters, layers } = await json(['info', '--network', 'resnet20']);
    const rows = layers as { name: string; output: number[]; parameters: number }[];
    assert.equal(parameters, 269_722);
    assert.equal(
      rows.reduce((sum, row) => sum + row.parameters, 0),
      269_722,
    );
    assert.deepEqual(
      rows.find(({ name }) => name === 'layer2.0.conv1'),
      {
        ...{ name: 'layer2.0.conv1', kind: 'conv2d', output: [32, 16, 16], parameters: 16 * 32 * 9 },
        ...{ step: 14, kernel: 'direct' },
      },
    );
  });

  it('says which kernel runs a layer, and with which others', async () => {
    const { stdout } = await deepzero(['info', '--network', 'resnet20']);
    const { layers } = await json(['info', '--network', 'resnet20']);
    const rows = layers as { name: string; kind: string; step: number; kernel: string }[];
    const kernelOf = (wanted: string): string | undefined => rows.find(({ name }) => name === wanted)?.kernel;
    assert.deepEqual(['layer1.0.conv1', 'layer2.0.conv1', 'layer3.2.conv2', 'layer3.2.bn2', 'fc'].map(kernelOf), [
      ...['winograd 4×4', 'direct', 'winograd 4×4', 'activation', 'direct'],
    ]);
    const kindsOf = (wanted: string): string[] => {
      const { step } = rows.find(({ name }) => name === wanted)!;
      return rows.filter((row) => row.step === step).map(({ kind }) => kind);
    };
    assert.deepEqual(kindsOf('bn1'), ['batchNorm', 'relu']);
    assert.deepEqual(kindsOf('layer2.0.bn2'), ['batchNorm', 'add', 'relu']);
    assert.deepEqual(kindsOf('conv1'), ['conv2d']);
    assert.match(stdout, /^layer1\.0\.conv1 +conv2d +winograd 4×4 +16×32×32 +2,304 +\d+$/m);
  });
});

describe('deepzero data', () => {
  it('writes the generated set and summarises it', () =>
    withFolder(async (folder) => {
      const size = ['--train', '50', '--test', '20'];
      const paths = ['a', 'b', 'c'].map((name) => join(folder, name));
      const [a = '', b = '', c = ''] = paths;
      await Promise.all([
        json(['data', 'synthetic', '--out', a, ...size]),
        json(['data', 'synthetic', '--out', b, ...size]),
        json(['data', 'synthetic', '--out', c, ...size, '--seed', '1']),
      ]);
      const [first, same, other] = await Promise.all(paths.map((path) => readFile(join(path, 'data_batch_3.bin'))));
      assert.ok(first!.equals(same!));
      assert.ok(!first!.equals(other!));
      const summary = await json(['data', 'info', a]);
      assert.deepEqual(summary['train'], { count: 50, classes: new Array(10).fill(5) });
      assert.deepEqual(summary['test'], { count: 20, classes: new Array(10).fill(2) });
    }));

  it('names the file and what is wrong with it', () =>
    withFolder(async (folder) => {
      const data = await writeImages(folder);
      const info = ['data', 'info', data];
      const [first, second, test] = [1, 2, 0].map((i) => join(data, i ? `data_batch_${i}.bin` : 'test_batch.bin'));
      await fails(['data', 'info', join(folder, 'none')], 1, /none: folder does not exist$/);
      await fails(['data', 'info', first!], 1, /data_batch_1\.bin: is a file, expected a folder/);
      await fails(['data', 'info', folder], 1, /holds none of data_batch_1\.bin/);

      await rm(join(data, 'data_batch_3.bin'));
      assert.match(
        (await deepzero(info)).stdout,
        /: 48 images of synthetic train \(data_batch_3\.bin missing\), 3×32×32/,
      );
      assert.deepEqual((await json(info))['missing'], ['data_batch_3.bin']);

      await truncate(first!, 5000);
      await fails(info, 1, /data_batch_1\.bin: 5000 bytes .*truncated/);
      await truncate(first!, 0);
      await fails(info, 1, /data_batch_1\.bin: is empty/);
      await truncate(first!, 3073);
      const records = await readFile(second!);
      records[3073] = 10;
      await writeFile(second!, records);
      await fails(info, 1, /data_batch_2\.bin: record 1 \(byte 3073\) has label 10, expected 0 to 9$/);
      await truncate(second!, 3073);
      await truncate(test!, 0);
      await fails(['train', '--data', data], 1, /test_batch\.bin: is empty/);
    }));

  it('says where it cannot write', () =>
    withFolder(async (folder) => {
      const file = join(folder, 'file');
      await writeFile(file, '');
      await fails(['data', 'synthetic', '--out', join(file, 'x')], 1, /file\/x: not a directory$/);
      await fails(['data', 'synthetic', '--out', file], 1, /file: is a file, expected a folder$/);
    }));
});

describe('paths of the wrong kind', () => {
  it('are refused by name, with exit code 1', () =>
    withFolder(async (folder) => {
      const fifo = join(folder, 'fifo');
      await promisify(execFile)('mkfifo', [fifo]);
      const cases = ['/dev/zero', fifo].flatMap((path): [string[], RegExp][] => [
        [['eval', '--data', 'synthetic', '--weights', path], /: is not a regular file$/],
        [['gradcheck', ...TINY, '--batch-size', '2', '--coordinates', path], /: is not a regular file$/],
        [['prune', ...TINY, '--method', 'magnitude', '--out', path], /: is not a regular file$/],
        [['train', ...TINY, '--ratios', path, '--out', join(folder, 'run')], /: is not a regular file$/],
        [['data', 'info', path], /: is a file, expected a folder/],
        [['data', 'synthetic', '--out', path], /: is a file, expected a folder/],
      ]);
      for (const some of inFours(cases)) {
        await Promise.all(some.map(([args, message]) => fails(args, 1, message)));
      }
    }));
});

describe('deepzero gradcheck', () => {
  it('compares the coordinates of a file with the reference', () =>
    withFolder(async (folder) => {
      const file = join(folder, 'coordinates.json');
      const wanted = [
        { name: 'fc.weight', index: 3 },
        { name: 'conv_layers.1.bias', index: 1 },
        { name: 'conv_layers.0.weight', index: 50 },
      ];
      await writeFile(file, JSON.stringify(wanted));
      const result = await json(['gradcheck', ...TINY, '--batch-size', '4', '--coordinates', file]);
      assert.deepEqual(Object.keys(result), [
        ...['loss', 'entries', 'relativeError', 'cosine', 'firstOrderCosine', 'layers'],
      ]);
      const entries = result['entries'] as { name: string; index: number; cge: number; reference: number }[];
      assert.deepEqual(
        entries.map(({ name, index }) => ({ name, index })),
        wanted,
      );
      assert.ok((result['relativeError'] as number) < 1e-2);
      assert.ok((result['cosine'] as number) > 0.999);
      assert.ok((result['firstOrderCosine'] as number) > 0.99);
      assert.deepEqual(result['layers'], []);
    }));

  it('spreads coordinates over all tensors', async () => {
    const { entries, layers } = await json(['gradcheck', ...TINY, '--batch-size', '2', '--count', '12']);
    const found = entries as { name: string; index: number }[];
    assert.equal(new Set(found.map(({ name, index }) => `${name} ${index}`)).size, 12);
    assert.equal(new Set(found.map(({ name }) => name)).size, 6);
    const of = (layers as { name: string; coordinates: number; firstOrderCosine: number }[]).map((one) => [
      one.name,
      one.coordinates,
    ]);
    assert.deepEqual(of, [
      ['conv_layers.0', 4],
      ['conv_layers.1', 4],
      ['fc', 4],
    ]);
  });

  it('says which coordinate of a file is wrong', () =>
    withFolder(async (folder) => {
      const file = join(folder, 'coordinates.json');
      const check = ['gradcheck', ...TINY, '--coordinates', file];
      const cases: [string, RegExp][] = [
        ['[{"name": "fc.bias", "index": 0}, {"name": "fc.wieght", "index": 0}]', /entry 1: Unknown .*"fc\.weight"/],
        ['[{"name": "fc.bias", "index": 10}]', /entry 0: Expected .*fc\.bias.* from 0 to 9, received 10$/],
        ['[{"index": 0}]', /coordinates\.json: expected \[0\]\.name to be a non-empty string, received undefined$/],
        ['[3]', /coordinates\.json: expected \[0\] to be an object, received 3$/],
        ['[{"name": "fc.bias", "index": 0, "at": 1}]', /unknown "at" in \[0\]/],
        ['[{"name": "fc.bias", "index": 0}, {"name": "fc.bias", "index": 0}]', /entry 1: .* is repeated from entry 0$/],
        ['[]', /expected its content to be a list of at least one \{"name", "index"\}, received \[\]$/],
        ['[', /coordinates\.json: is not JSON: /],
      ];
      for (const [content, message] of cases) {
        await writeFile(file, content);
        await fails(check, 1, message);
      }
    }));
});
