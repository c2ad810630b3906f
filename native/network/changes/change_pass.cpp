#include "network/changes/change_pass.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "network/loss.hpp"

namespace deepzero {

namespace {

double total(const double* lanes) {
  double sum[4] = {};
  for (int lane = 0; lane < kLanes; ++lane) sum[lane % 4] += lanes[lane];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace

ChangePass::ChangePass(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks, float* memory)
    : graph_(graph),
      plan_(plan),
      kernels_(kernels),
      changed_(graph, plan),
      blocks_(blocks),
      stored_(plan.scratch(), blocks, memory),
      locals_(plan.locals(), 1),
      moments_(graph.shapes().size()),
      affine_(graph.operations().size()) {
  std::size_t most = 0, rows = 0, plane = 0;
  for (const Step& step : plan.steps()) {
    const int value = step.inputs[0];
    if (step.kind == StepKind::Convolve && plan.centered(value)) {
      plane = std::max<std::size_t>(plane, plan.map(value).planeStride());
    }
    if (step.kind != StepKind::Activate) continue;
    if (step.operation >= 0) affine_[step.operation].resize(plan.map(value).channels);
    if (plan.recomputable(value)) {
      PartialConvolution from;
      from.shape.out = plan.map(value);
      rows = std::max(rows, from.scratch(step.activation.poolKernel));
    }
  }
  for (int v = 0; v < static_cast<int>(graph.shapes().size()); ++v) {
    most = std::max<std::size_t>(most, plan.map(v).channels);
  }
  for (const Segment& segment : plan.segments()) {
    for (const int value : segment.measured) moments_[value].resize(plan.map(value).channels);
  }
  identity_.resize(most);
  everyChannel_.resize(most);
  std::iota(everyChannel_.begin(), everyChannel_.end(), 0);
  perturbed_.resize(graph.shapes().size());
  computedPlanes_.reserve(most);
  storedPlanes_.reserve(most);
  rowScratch_ = AlignedFloats(rows);
  recomputed_.plane = AlignedFloats(plane);
  winogradScratch_ = AlignedFloats(plan.winogradScratch());
  countVector(identity_);
  countVector(everyChannel_);
  countVector(computedPlanes_);
  countVector(storedPlanes_);
  for (const auto& moments : moments_) countVector(moments);
  for (const auto& affine : affine_) countVector(affine);
}

void ChangePass::reserveAllChange() {
  for (const Step& step : plan_.steps()) {
    // What reads the network's input can do with that as it is.
    if (step.kind != StepKind::Convolve || step.inputs[0] == 0) continue;
    AlignedFloats& perturbed = perturbed_[step.inputs[0]];
    if (perturbed.size() == 0) perturbed = AlignedFloats(plan_.map(step.inputs[0]).size());
  }
}

void ChangePass::startsFrom(const ChangeBase& base, const LossChange& lossBase, const Weights& weights,
                            const InputProducts* products) {
  base_ = &base;
  lossBase_ = &lossBase;
  weights_ = &weights;
  products_ = products;
  stored_.clearBorders();
  recomputed_.value = -1;
}

double ChangePass::run(const Problem& problem, std::size_t coordinate, float step, const Control& control) {
  perturbation_ = perturbationOf(graph_, coordinate, step);
  return runFrom(plan_.segmentOf(perturbation_.operation), problem, control);
}

double ChangePass::run(const Problem& problem, const Weights& steps, const Control& control) {
  perturbation_ = {};
  perturbation_.steps = &steps;
  return runFrom(0, problem, control);
}

double ChangePass::runFrom(int from, const Problem& problem, const Control& control) {
  changed_.compute(perturbation_, plan_.segments()[from].firstStep);
  for (int index = from; index < static_cast<int>(plan_.segments().size()); ++index) {
    const Segment& segment = plan_.segments()[index];
    prepareSegment(segment, problem);
    for (int i = 0; i < blocks_; ++i) {
      if (control.stop()) return std::numeric_limits<double>::quiet_NaN();
      // In alternating order, so that the blocks written last, which a cache still holds, are read first.
      runBlock(segment, index % 2 == 0 ? i : blocks_ - 1 - i, problem);
    }
  }
  return lossChange(problem);
}

// Computes the affine changes of a segment's batch norms from the changes of statistics, γ and β, and resets the
// moments that the segment's blocks add to.
void ChangePass::prepareSegment(const Segment& segment, const Problem& problem) {
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    if (step.kind != StepKind::Activate || step.operation < 0) continue;
    for (const int channel : changedChannels(step.output)) {
      affine_[step.operation][channel] = affineChange(step, channel, problem);
    }
  }
  if (!problem.training) return;
  for (const int value : segment.measured) {
    const bool known = momentsKnown(value);
    for (const int channel : changedChannels(value)) {
      PlaneMoments& moments = moments_[value][channel];
      moments = PlaneMoments();
      if (!known) continue;
      const auto [sum, square] = products_->moments(*plan_.producerOf(value), channel, *perturbation_.steps);
      moments.sum[0] = sum;
      moments.square[0] = square;
    }
  }
}

AffineChange ChangePass::affineChange(const Step& step, int channel, const Problem& problem) const {
  const ChangeBase::Normalisation& base = base_->normalisation(step)[channel];
  const int value = step.inputs[0];
  double meanChange = 0, varianceChange = 0;
  if (problem.training && changed_.contains(value, channel)) {
    const Map& map = plan_.map(value);
    const double count = static_cast<double>(problem.count) * map.height * map.width;
    const PlaneMoments& moments = moments_[value][channel];
    meanChange = total(moments.sum) / count;
    // Moments are about the center, the variance is about the mean.
    varianceChange = total(moments.square) / count + (2 * base.offset - meanChange) * meanChange;
    // A variance that falls to zero may be rounded to below it.
    varianceChange = std::max(varianceChange, -base.variance);
  }
  double gammaChange = 0, betaChange = 0;
  if (perturbation_.steps != nullptr) {
    gammaChange = perturbation_.steps->weight(step.operation)[channel];
    betaChange = perturbation_.steps->bias(step.operation)[channel];
  } else if (perturbation_.touches(step) && channel == perturbation_.index) {
    (perturbation_.isBias ? betaChange : gammaChange) = perturbation_.step;
  }
  const double gamma = weights_->weight(step.operation)[channel] + gammaChange;
  const double epsilon = graph_.operations()[step.operation].epsilon;
  const double before = std::sqrt(base.variance + epsilon);
  const double after = std::sqrt(base.variance + varianceChange + epsilon);
  // γ′/after − γ/before, rewritten so that no nearly equal numbers are subtracted.
  const double scaleChange = gammaChange / before - gamma * varianceChange / (before * after * (before + after));
  const double newScale = gamma / after;
  const double shiftChange = base.offset * scaleChange - meanChange * newScale + betaChange;
  return {base.scale, base.shift, static_cast<float>(scaleChange), static_cast<float>(newScale),
          static_cast<float>(shiftChange)};
}

void ChangePass::runBlock(const Segment& segment, int block, const Problem& problem) {
  const int lanes = lanesOf(problem, block);
  int measured = -1;
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    if (changedChannels(step.output).empty()) continue;
    switch (step.kind) {
      case StepKind::Convolve:
        if (convolve(step, block, problem.training ? momentsOf(step.output, block) : nullptr, lanes)) {
          measured = step.output;
        }
        break;
      case StepKind::Activate: activate(step, block); break;
      case StepKind::AveragePool:
      case StepKind::Flatten: poolOrFlatten(step, block); break;
    }
  }
  if (!problem.training) return;
  for (const int value : segment.measured) {
    if (changedChannels(value).empty() || value == measured) continue;
    PlaneMoments* const moments = momentsOf(value, block);
    for (const int channel : changedChannels(value)) {
      moments[channel].change = planes(value, block) + channel * plan_.map(value).planeStride();
      kernels_.changeMoments(plan_.map(value), moments + channel, 1, lanes);
    }
  }
}

// The moments of a value's change by channel, with their `base` set to this block; null if no batch norm needs them.
PlaneMoments* ChangePass::momentsOf(int value, int block) {
  std::vector<PlaneMoments>& moments = moments_[value];
  if (moments.empty()) return nullptr;
  for (const int channel : changedChannels(value)) moments[channel].base = base_->base(value, channel, block);
  return moments.data();
}

void ChangePass::activate(const Step& step, int block) {
  const int value = step.inputs[0], residual = step.inputs[1];
  const bool computed = computedOnRead(value) && !changedChannels(value).empty();
  const Step* const convolution = computed ? plan_.producerOf(value) : nullptr;
  if (computed) {
    // The convolution's input may be a value of an earlier segment that was not stored.
    const int input = convolution->inputs[0];
    if (!plan_.stored(input) && !changedChannels(input).empty()) activate(*plan_.producerOf(input), block);
  }
  const AffineChange* affine = (step.operation >= 0 ? affine_[step.operation] : identity_).data();
  const float* change = computed ? nullptr : planes(value, block);
  float* out = planes(step.output, block);
  const std::ptrdiff_t inStride = plan_.map(value).planeStride(), outStride = plan_.map(step.output).planeStride();
  computedPlanes_.clear();
  storedPlanes_.clear();
  for (const int channel : changedChannels(step.output)) {
    const bool changes = changed_.contains(value, channel);
    PlaneChange plane{nullptr, nullptr, nullptr, nullptr, affine + channel, out + channel * outStride};
    if (residual >= 0) {
      plane.sum = base_->sum(step, channel, block);
      if (changed_.contains(residual, channel)) {
        plane.residualChange = planes(residual, block) + channel * plan_.map(residual).planeStride();
      }
    }
    // Without a batch norm the base is multiplied by zero: it only has to be finite.
    plane.base = plan_.baseReader(value) >= 0 ? base_->base(value, channel, block) : plane.sum;
    if (changes && !computed) plane.change = change + channel * inStride;
    (changes && computed ? computedPlanes_ : storedPlanes_).push_back(plane);
  }
  kernels_.activateChange(step.activation, storedPlanes_.data(), static_cast<int>(storedPlanes_.size()));
  if (computed) {
    kernels_.convolveActivate(partial(*convolution, block), step.activation, rowScratch_.data(),
                              computedPlanes_.data());
  }
}

// Average pools, option-A shortcuts included, and flattening are linear: they apply to a change as to a value.
void ChangePass::poolOrFlatten(const Step& step, int block) {
  const Map &inMap = plan_.map(step.inputs[0]), &outMap = plan_.map(step.output);
  for (const int channel : changedChannels(step.inputs[0])) {
    const float* in = planes(step.inputs[0], block) + channel * inMap.planeStride();
    const int first =
        step.kind == StepKind::Flatten ? channel * inMap.height * inMap.width : channel + plan_.paddingBefore(step);
    float* out = planes(step.output, block) + first * outMap.planeStride();
    if (step.kind == StepKind::AveragePool) {
      kernels_.averagePool(plan_.convolutionShape(step.operation), in, out);
      continue;
    }
    for (int y = 0; y < inMap.height; ++y) {
      for (int x = 0; x < inMap.width; ++x, out += outMap.planeStride()) {
        std::copy_n(in + inMap.at(0, y, x), kLanes, out + outMap.at(0, 0, 0));
      }
    }
  }
}

double ChangePass::lossChange(const Problem& problem) const {
  const int value = plan_.outputValue();
  if (changedChannels(value).empty()) return 0;
  double sum = 0;
  for (int block = 0; block < blocks_; ++block) {
    sum += lossBase_->block(kernels_, problem, block, stored_.at(value, block), changedChannels(value));
  }
  return sum / lossCount(problem, plan_.map(value));
}

void ChangePass::outputs(const Problem& problem, double* rows) const {
  const int value = plan_.outputValue();
  lossBase_->outputs(problem, rows);
  for (int block = 0; block < blocks_; ++block) {
    lossBase_->add(problem, block, stored_.at(value, block), changedChannels(value), rows);
  }
}

float* ChangePass::planes(int value, int block) {
  return plan_.stored(value) ? stored_.at(value, block) : locals_.at(value, 0);
}

const float* ChangePass::input(int value, int channel, int block) {
  if (!plan_.centered(value)) return base_->base(value, channel, block);
  auto& [plane, lastValue, lastChannel, lastBlock] = recomputed_;
  if (value != lastValue || channel != lastChannel || block != lastBlock) {
    // Other maps have their borders in other places.
    if (value != lastValue) std::fill_n(plane.data(), plan_.map(value).planeStride(), 0.0f);
    const Step& step = *plan_.producerOf(value);
    Activation shape = step.activation;
    shape.out.channels = 1;
    const bool sum = step.inputs[1] >= 0;
    const ChangeBase::Normalisation& base = base_->normalisation(step)[channel];
    const Affine affine = sum ? Affine() : Affine{0, base.scale, base.shift};
    kernels_.activate(shape, &affine,
                      sum ? base_->sum(step, channel, block) : base_->base(step.inputs[0], channel, block), nullptr,
                      plane.data());
    lastValue = value;
    lastChannel = channel;
    lastBlock = block;
  }
  return plane.data();
}

}  // namespace deepzero
