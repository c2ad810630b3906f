/**
 * The public surface: the names that users may import, and what their types must not show.
 *
 * @module
 */
import assert from 'node:assert/strict';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { root } from '../scripts/run.js';

const VALUES = `
  CIFAR10_CLASSES CIFAR10_MEAN CIFAR10_STD FileError ImageDataset InvalidArgumentError Model
  NonFiniteLossError REUSES RefusedStepError RunFolder Search TensorDataset TrainRun adam anyBox
  ars availableCores averagePool batchNorm cge cifar10 cnn compile constant conv2d cosine
  cosineSimilarity defaultThreads describeMachine firstOrder flatten forwardGradient
  functionBox globalAveragePool gradcheck grasp graspImportance guided httpBox keptCoordinates leakyRelu linear machine
  magnitudePruning maxPool minimize optionA outputsLoss paper patternSearch processBox pruneWeights randomPruning
  rankCount rankedRatios readJson readSafetensors relu residual resnet resnet20 rge rollout sgd
  simulatorInclude step suggestMu synthetic tanh train version workerBox writeCifar10 writeFileAtomically writeSafetensors zoGrasp zoGraspBox zoGraspImportance
`;

const TYPES = `
  AdamOptions Answer ArsOptions Augmentation AveragePool Batch BatchNorm Bounds Box BoxContext CallOptions CgeOptions
  Cifar10Options CnnOptions CompiledNetwork Conv2d Coordinate CoordinateQueries CoordinatewiseOptions CosineOptions
  Dataset DifferenceOptions DifferenceQueries DifferenceResult DirectionDraw DirectionQueries Distribution Dtype
  EstimateContext EstimatePosition Estimator EvaluateOptions EvaluateResult EvaluationCounts FirstOrderOptions Flatten
  ForwardGradientOptions ForwardOptions ForwardResult FunctionBoxOptions GlobalAveragePool GradcheckEntry
  GradcheckOptions GradcheckResult GradientEstimate GradientOptions GradientResult GraspImportanceOptions GraspOptions
  GuidedOptions HttpBoxOptions ImageDatasetOptions ImageDatasets ImageShape Importance KeepOptions Layer LayerRatios
  LeakyRelu LineQueries LineResult Linear LoadOptions LossContext LossFunction LossName LossReading Machine
  MagnitudePruningOptions MaskOptions MaxPool MeasuredLoss MemoryOptions MemoryUse MinimizeOptions MinimizeResult
  MinimizeStep ModelLoss ModelOptions MuSuggestion NestedNumbers Network NoAnswer Objective Optimizer OptimizerState
  OptionA OutputsContext OutputsFunction OutputsLoss ParameterTensor PassResult PatternSearchOptions PerParameter
  Position Precision ProcessBoxOptions Query QueryCost QueryResult RandomPruningOptions RandomizedOptions
  RandomizedReuse RanksCost Reals RealsType ReferenceOptions ReferenceResult Relu ResNetOptions Residual Reuse
  RgeOptions RolloutError RolloutLoss RolloutOptions RunChange Safetensors Schedule SearchOptions SearchState SgdOptions
  SimulatorSizes StartPoint StatisticInfo StepOptions StopReason SuggestMuOptions Surrogate SyntheticOptions Tanh Tensor
  TensorData TensorDatasetOptions TensorInfo TrainCost TrainOptions TrainStep Weights Work WorkerBoxOptions
  ZoGraspBoxOptions ZoGraspImportanceOptions ZoGraspOptions
`;

interface Export {
  name: string;
  value: boolean;
  /** The declaration that users get, without comments. */
  text: string;
}

/** What a module exports, through however many others. */
function exportsOf(module: string): Export[] {
  const file = ts.readJsonConfigFile(join(root, 'tsconfig.build.json'), (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonSourceFileConfigFileContent(file, ts.sys, root);
  const program = ts.createProgram([module], { ...options, emitDeclarationOnly: true, removeComments: true });
  const emitted = new Map<string, ts.SourceFile>();
  program.emit(undefined, (file, text) => {
    emitted.set(relative(options.outDir!, file), ts.createSourceFile(file, text, ts.ScriptTarget.Latest));
  });

  const checker = program.getTypeChecker();
  const symbol = checker.getSymbolAtLocation(program.getSourceFile(module)!)!;
  return checker.getExportsOfModule(symbol).map((exported) => {
    const original = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const source = original.declarations![0]!.getSourceFile().fileName;
    const file = emitted.get(relative(options.rootDir!, source).replace(/\.ts$/, '.d.ts'))!;
    const own = new RegExp(`^export [\\w ]*\\b${original.name}\\b`);
    const text = file.statements
      .map((statement) => statement.getText(file))
      // A module as a namespace, such as `paper`, is all of its statements.
      .filter((statement) => ts.isSourceFile(original.declarations![0]!) || own.test(statement))
      .join('\n');
    return { name: exported.name, value: (original.flags & ts.SymbolFlags.Value) !== 0, text };
  });
}

function listed(names: string): string[] {
  return names.trim().split(/\s+/);
}

describe('the public surface', () => {
  let exported: Export[];
  before(() => {
    exported = exportsOf(join(root, 'lib/index.ts'));
  });

  it('is the values and types that are listed here', () => {
    const names = (value: boolean) => exported.filter((one) => one.value === value).map(({ name }) => name);
    assert.deepEqual(names(true).sort(), listed(VALUES));
    assert.deepEqual(names(false).sort(), listed(TYPES));
  });

  it('shows neither any nor types of the addon', () => {
    assert.ok(exported.every(({ text }) => text !== ''));
    const shown = exported.filter(({ text }) => /\bany\b|\bNative[A-Z]/.test(text)).map(({ name }) => name);
    assert.deepEqual(shown, []);
  });
});
