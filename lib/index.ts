/**
 * Trains neural networks from loss values alone, without back-propagation.
 *
 * @module
 */
export { rankCount } from './ranks/join.js';
export { FileError, InvalidArgumentError } from './support/errors.js';
export type { Coordinate } from './network/coordinates.js';
export type { Cifar10Options, ImageDatasets } from './data/cifar10.js';
export { cifar10, CIFAR10_CLASSES, CIFAR10_MEAN, CIFAR10_STD, writeCifar10 } from './data/cifar10.js';
export type { Augmentation, Batch, Dataset, ImageDatasetOptions, TensorDatasetOptions } from './data/dataset.js';
export { ImageDataset, TensorDataset } from './data/dataset.js';
export type { SyntheticOptions } from './data/synthetic.js';
export { synthetic } from './data/synthetic.js';
export type {
  CoordinatewiseOptions,
  DifferenceOptions,
  Distribution,
  EvaluateOptions,
  EvaluateResult,
  ForwardOptions,
  ForwardResult,
  GradientOptions,
  GradientResult,
  MemoryOptions,
  MemoryUse,
  PassResult,
  Precision,
  QueryCost,
  QueryResult,
  RandomizedOptions,
  RandomizedReuse,
  ReferenceOptions,
  ReferenceResult,
  Reuse,
  Work,
} from './model/options.js';
export { REUSES } from './model/options.js';
export type { EstimateContext, EstimatePosition, Estimator, GradientEstimate } from './estimators/estimator.js';
export type { CgeOptions } from './estimators/cge.js';
export { cge } from './estimators/cge.js';
export type { RgeOptions } from './estimators/rge.js';
export { rge } from './estimators/rge.js';
export type { ArsOptions } from './estimators/ars.js';
export { ars } from './estimators/ars.js';
export type { GuidedOptions, Surrogate } from './estimators/guided.js';
export { guided } from './estimators/guided.js';
export type { FirstOrderOptions } from './estimators/first-order.js';
export { firstOrder } from './estimators/first-order.js';
export type { ForwardGradientOptions } from './estimators/forward-gradient.js';
export { forwardGradient } from './estimators/forward-gradient.js';
export type { GradcheckEntry, GradcheckOptions, GradcheckResult } from './estimators/gradcheck.js';
export { cosineSimilarity, gradcheck } from './estimators/gradcheck.js';
export type { GraspImportanceOptions, GraspOptions } from './pruning/grasp.js';
export { grasp, graspImportance } from './pruning/grasp.js';
export type { CallOptions } from './native/jobs.js';
export { NonFiniteLossError } from './model/non-finite.js';
export { availableCores, defaultThreads } from './native/cores.js';
export type { Machine } from './native/machine.js';
export { describeMachine, machine } from './native/machine.js';
export type { LayerRatios, MaskOptions } from './estimators/masks.js';
export type { LoadOptions, ModelOptions } from './model/model.js';
export { Model } from './model/model.js';
export type { Weights } from './model/weights.js';
export type {
  LossName,
  ModelLoss,
  OutputsContext,
  OutputsFunction,
  OutputsLoss,
  RolloutError,
  RolloutLoss,
  SimulatorSizes,
} from './model/losses.js';
export { outputsLoss } from './model/losses.js';
export type { RolloutOptions } from './model/rollouts.js';
export { rollout, simulatorInclude } from './model/rollouts.js';
export type { CnnOptions } from './network/cnn.js';
export { cnn } from './network/cnn.js';
export type { CompiledNetwork, StatisticInfo, TensorInfo } from './network/compile.js';
export { compile } from './network/compile.js';
export type {
  AveragePool,
  BatchNorm,
  Conv2d,
  Flatten,
  GlobalAveragePool,
  ImageShape,
  Layer,
  LeakyRelu,
  Linear,
  MaxPool,
  Network,
  OptionA,
  Relu,
  Residual,
  Tanh,
} from './network/description.js';
export {
  averagePool,
  batchNorm,
  conv2d,
  flatten,
  globalAveragePool,
  leakyRelu,
  linear,
  maxPool,
  optionA,
  relu,
  residual,
  tanh,
} from './network/description.js';
export type { ResNetOptions } from './network/resnet.js';
export { resnet, resnet20 } from './network/resnet.js';
export type { AdamOptions, Optimizer, OptimizerState, SgdOptions } from './optimizers/optimizers.js';
export { adam, sgd } from './optimizers/optimizers.js';
export type { DirectionDraw } from './objectives/directions.js';
export type { EvaluationCounts } from './objectives/exchange.js';
export type {
  CoordinateQueries,
  DifferenceQueries,
  DifferenceResult,
  DirectionQueries,
  LineQueries,
  LineResult,
  LossReading,
  MeasuredLoss,
  Objective,
  ParameterTensor,
} from './objectives/objective.js';
export type { Reals, RealsType } from './support/reals.js';
export type { Answer, NoAnswer, Query } from './objectives/query.js';
export type { Bounds, NestedNumbers, PerParameter, StartPoint } from './objectives/space.js';
export { RefusedStepError } from './objectives/black-box.js';
export { anyBox } from './boxes/any-box.js';
export type { Box, BoxContext, FunctionBoxOptions, LossContext, LossFunction } from './boxes/box.js';
export { functionBox } from './boxes/box.js';
export type { HttpBoxOptions } from './boxes/http.js';
export { httpBox } from './boxes/http.js';
export type { ProcessBoxOptions } from './boxes/process.js';
export { processBox } from './boxes/process.js';
export type { WorkerBoxOptions } from './boxes/worker.js';
export { workerBox } from './boxes/worker.js';
export type { MinimizeOptions } from './training/minimize.js';
export { minimize } from './training/minimize.js';
export type { MuSuggestion, SuggestMuOptions } from './training/suggest-mu.js';
export { suggestMu } from './training/suggest-mu.js';
export type { MinimizeResult, MinimizeStep, SearchOptions, StopReason } from './training/search-options.js';
export type { SearchState } from './training/search.js';
export { Search } from './training/search.js';
export type { PatternSearchOptions } from './estimators/pattern-search.js';
export { patternSearch } from './estimators/pattern-search.js';
export type { Importance, KeepOptions, MagnitudePruningOptions, RandomPruningOptions } from './pruning/ratios.js';
export { keptCoordinates, magnitudePruning, pruneWeights, randomPruning, rankedRatios } from './pruning/ratios.js';
export * as paper from './paper.js';
export { writeFileAtomically } from './support/files.js';
export { readJson } from './support/json.js';
export type { Dtype, Safetensors, Tensor, TensorData } from './support/safetensors.js';
export { readSafetensors, writeSafetensors } from './support/safetensors.js';
export type { CosineOptions, Position, Schedule, StepOptions } from './optimizers/schedules.js';
export { constant, cosine, step } from './optimizers/schedules.js';
export type { RunChange } from './training/checkpoint.js';
export type { RanksCost, TrainCost } from './training/cost.js';
export { RunFolder } from './training/folder.js';
export type { TrainStep } from './training/log.js';
export type { TrainOptions } from './training/options.js';
export type { TrainRun } from './training/train.js';
export { train } from './training/train.js';
export { version } from './support/version.js';
export type { ZoGraspImportanceOptions, ZoGraspOptions } from './pruning/zo-grasp.js';
export type { ZoGraspBoxOptions } from './pruning/zo-grasp-box.js';
export { zoGraspBox } from './pruning/zo-grasp-box.js';
export { zoGrasp, zoGraspImportance } from './pruning/zo-grasp.js';
