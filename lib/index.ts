/**
 * Trains neural networks from loss values alone, without back-propagation.
 *
 * @module
 */
export { FileError, InvalidArgumentError } from './check.js';
export type { Coordinate } from './coordinates.js';
export type { Cifar10Options, ImageDatasets } from './data/cifar10.js';
export { cifar10, CIFAR10_CLASSES, CIFAR10_MEAN, CIFAR10_STD, writeCifar10 } from './data/cifar10.js';
export type { Augmentation, Batch, Dataset, ImageDatasetOptions, TensorDatasetOptions } from './data/dataset.js';
export { ImageDataset, TensorDataset } from './data/dataset.js';
export type { SyntheticOptions } from './data/synthetic.js';
export { synthetic } from './data/synthetic.js';
export type {
  CoordinatewiseOptions,
  DifferenceOptions,
  GradientOptions,
  RandomizedOptions,
  RandomizedReuse,
  Reuse,
  ReferenceOptions,
} from './engine.js';
export type {
  CgeOptions,
  EstimateContext,
  EstimatePosition,
  Estimator,
  GradientEstimate,
  RgeOptions,
} from './estimators.js';
export { cge, rge } from './estimators.js';
export type { FirstOrderOptions } from './first-order.js';
export { firstOrder } from './first-order.js';
export type { ForwardGradientOptions } from './forward-gradient.js';
export { forwardGradient } from './forward-gradient.js';
export type { GradcheckEntry, GradcheckOptions, GradcheckResult } from './gradcheck.js';
export { gradcheck } from './gradcheck.js';
export type { GraspImportanceOptions, GraspOptions } from './grasp.js';
export { grasp, graspImportance } from './grasp.js';
export type { Watch } from './jobs.js';
export { NonFiniteLossError } from './jobs.js';
export { availableCores, defaultThreads } from './machine.js';
export type { LayerSparsity, MaskOptions } from './masks.js';
export type { EvaluateOptions, Evaluation, LoadOptions, ModelOptions, TestOptions, TestResult } from './model.js';
export { Model } from './model.js';
export type {
  LossName,
  NativeEstimate as QueryResult,
  NativeGradient as GradientResult,
  NativeReferenceResult as ReferenceResult,
  Precision,
} from './native.js';
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
  Layer,
  Linear,
  MaxPool,
  Network,
  OptionA,
  Relu,
  Residual,
} from './network/description.js';
export {
  averagePool,
  batchNorm,
  conv2d,
  flatten,
  globalAveragePool,
  linear,
  maxPool,
  optionA,
  relu,
  residual,
} from './network/description.js';
export type { ResNetOptions } from './network/resnet.js';
export { resnet, resnet20 } from './network/resnet.js';
export type { AdamOptions, Optimizer, OptimizerState, SgdOptions } from './optimizers.js';
export { adam, sgd } from './optimizers.js';
export type { PatternSearchOptions } from './pattern-search.js';
export { patternSearch } from './pattern-search.js';
export type { Importance, KeepOptions, MagnitudePruningOptions, RandomPruningOptions } from './pruning.js';
export { keptCoordinates, magnitudePruning, pruneWeights, randomPruning, rankedSparsity } from './pruning.js';
export type { Dtype, Safetensors, Tensor, TensorData } from './safetensors.js';
export { readSafetensors, writeSafetensors } from './safetensors.js';
export type { Stream } from './random.js';
export type { CosineOptions, Position, Schedule, StepOptions } from './schedules.js';
export { constant, cosine, step } from './schedules.js';
export type { TrainOptions } from './train-options.js';
export type { TrainCost, TrainRun, TrainStep } from './train.js';
export { train } from './train.js';
export { version } from './version.js';
export type { ZoGraspImportanceOptions, ZoGraspOptions } from './zo-grasp.js';
export { zoGrasp, zoGraspImportance } from './zo-grasp.js';
