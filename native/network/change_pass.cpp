#include "network/change_pass.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "network/loss.hpp"

namespace deepzero {

namespace {

double total(const double* lanes) {
  double sum[4] = {};
  for (int lane = 0; lane < kLanes; ++lane) sum[lane % 4] += lanes[lane];
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

}  // namespace

ChangePass::ChangePass(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks)
    : graph_(graph),
      plan_(plan),
      kernels_(kernels),
      spread_(graph, plan),
      blocks_(blocks),
      stored_(plan.scratch(), blocks),
      locals_(plan.locals(), 1),
      moments_(graph.shapes().size()),
      affine_(graph.operations().size()),
      producer_(graph.shapes().size(), nullptr),
      recomputed_(graph.shapes().size()) {
  std::size_t most = 0, fleeting = 0;
  for (const Step& step : plan.steps()) {
    const Map& map = plan.map(step.output);
    producer_[step.output] = &step;
    if (!plan.stored(step.output)) recomputed_[step.output].plane = AlignedFloats(map.planeStride());
    if (step.kind == StepKind::Activate && step.operation >= 0) affine_[step.operation].resize(map.channels);
  }
  for (int v = 0; v < static_cast<int>(graph.shapes().size()); ++v) {
    if (spread_.recomputable(v)) fleeting = std::max(fleeting, plan.map(v).size());
    most = std::max<std::size_t>(most, plan.map(v).channels);
  }
  for (const Segment& segment : plan.segments()) {
    for (const int value : segment.measured) moments_[value].resize(plan.map(value).channels);
  }
  identity_.resize(most);
  moved_.resize(graph.shapes().size());
  planeChanges_.reserve(most);
  fleeting_ = AlignedFloats(fleeting);
  winogradScratch_ = AlignedFloats(plan.winogradScratch());
}

void ChangePass::startsFrom(const Pass& base, const LossChange& lossBase, const Weights& weights) {
  base_ = &base;
  lossBase_ = &lossBase;
  weights_ = &weights;
  for (Recomputed& recomputed : recomputed_) recomputed.channel = -1;
}

std::size_t ChangePass::bytes() const {
  std::size_t floats = fleeting_.size() + winogradScratch_.size();
  for (const Recomputed& recomputed : recomputed_) floats += recomputed.plane.size();
  return stored_.bytes() + locals_.bytes() + floats * sizeof(float);
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
  spread_.compute(perturbation_, plan_.segments()[from].firstStep);
  for (int index = from; index < static_cast<int>(plan_.segments().size()); ++index) {
    const Segment& segment = plan_.segments()[index];
    enter(segment, problem);
    for (int i = 0; i < blocks_; ++i) {
      if (control.stop()) return std::numeric_limits<double>::quiet_NaN();
      // To and fro, so that the blocks written last, which a cache still holds, are read first.
      runBlock(segment, index % 2 == 0 ? i : blocks_ - 1 - i, problem);
    }
  }
  return lossChange(problem);
}

// Turns the changes of statistics, γ and β into what `activateChange` applies, and clears the sums that the segment's
// blocks will add to.
void ChangePass::enter(const Segment& segment, const Problem& problem) {
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    if (step.kind != StepKind::Activate || step.operation < 0) continue;
    for (const int channel : channels(step.output)) {
      affine_[step.operation][channel] = affineChange(step, channel, problem);
    }
  }
  if (!problem.training) return;
  for (const int value : segment.measured) {
    for (std::size_t j = 0; j < channels(value).size(); ++j) {
      moments_[value][j] = {};
      moments_[value][j].mean = static_cast<float>(base_->mean(value, channels(value)[j]));
    }
  }
}

AffineChange ChangePass::affineChange(const Step& step, int channel, const Problem& problem) const {
  const Affine& affine = base_->affine(step)[channel];
  const int value = step.inputs[0], position = spread_.positionOf(value, channel);
  const auto [mean, variance] = base_->moments(problem, step.operation, channel);
  // The kernels center on the mean rounded to float.
  const double rounding = static_cast<double>(affine.mean) - mean;
  double meanChange = 0, varianceChange = 0;
  if (problem.training && position >= 0) {
    const Map& map = plan_.map(value);
    const double count = static_cast<double>(problem.count) * map.height * map.width;
    const PlaneMoments& moments = moments_[value][position];
    meanChange = total(moments.sum) / count;
    varianceChange = total(moments.square) / count + 2 * rounding * meanChange - meanChange * meanChange;
    // A variance that falls to zero may be rounded to below it.
    varianceChange = std::max(varianceChange, -variance);
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
  const double before = std::sqrt(variance + epsilon), after = std::sqrt(variance + varianceChange + epsilon);
  // γ′/after − γ/before, its differences taken by hand.
  const double scaleChange = gammaChange / before - gamma * varianceChange / (before * after * (before + after));
  const double newScale = gamma / after, shiftChange = rounding * scaleChange - meanChange * newScale + betaChange;
  return {affine.mean,
          affine.scale,
          affine.shift,
          static_cast<float>(scaleChange),
          static_cast<float>(newScale),
          static_cast<float>(shiftChange)};
}

void ChangePass::runBlock(const Segment& segment, int block, const Problem& problem) {
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    if (channels(step.output).empty()) continue;
    switch (step.kind) {
      case StepKind::Convolve: convolve(step, block); break;
      case StepKind::Activate: activate(step, block); break;
      case StepKind::Subsample:
      case StepKind::AveragePool:
      case StepKind::Flatten: shrink(step, block); break;
    }
  }
  if (!problem.training) return;
  for (const int value : segment.measured) {
    if (!channels(value).empty()) measure(value, block, problem);
  }
}

void ChangePass::convolve(const Step& step, int block) {
  if (!perturbation_.touches(step)) {
    multiply(step, block);
  } else if (perturbation_.steps != nullptr) {
    convolveSteps(step, block);
  } else {
    convolveWeight(step, block);
  }
}

// Δy = W ∗ Δx.
void ChangePass::multiply(const Step& step, int block) {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const std::vector<int>& changed = channels(step.inputs[0]);
  const float* in = planes(step.inputs[0], block);
  float* out = planes(step.output, block);
  const float* packed = weights_->weight(step.operation);
  const float* transformed = weights_->transformed(step.operation);
  if (static_cast<int>(changed.size()) < shape.in.channels) {
    kernels_.partialConvolution(shape, in, changed.data(), static_cast<int>(changed.size()), packed, out);
  } else if (transformed != nullptr) {
    kernels_.winograd(shape, in, transformed, {}, winogradScratch_.data(), out);
  } else {
    kernels_.convolution(shape, in, packed, nullptr, out);
  }
}

// Δy when one weight or bias changes, of one output channel.
void ChangePass::convolveWeight(const Step& step, int block) {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  float* out = planes(step.output, block);
  if (perturbation_.isBias) {
    for (int y = 0; y < shape.out.height; ++y) {
      std::fill_n(out + shape.out.at(0, y, 0), shape.out.width * kLanes, perturbation_.step);
    }
    return;
  }
  const int window = shape.kernelHeight * shape.kernelWidth;
  const int channel = perturbation_.index / window % shape.in.channels, tap = perturbation_.index % window;
  kernels_.weightChange(shape, base(step.inputs[0], channel, block), tap / shape.kernelWidth, tap % shape.kernelWidth,
                        perturbation_.step, out);
}

// Δy = W ∗ Δx + ΔW ∗ (x + Δx) + Δb.
void ChangePass::convolveSteps(const Step& step, int block) {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const int value = step.inputs[0];
  const float* weightSteps = perturbation_.steps->weight(step.operation);
  const float* biasSteps = perturbation_.steps->bias(step.operation);
  if (moved_[value].size() == 0) moved_[value] = AlignedFloats(shape.in.size());
  const Affine identity;
  float *moved = moved_[value].data(), *out = planes(step.output, block);
  Activation sum{shape.in, shape.in, shape.in, -std::numeric_limits<float>::infinity(), 1, 1};
  sum.out.channels = 1;
  for (int c = 0; c < shape.in.channels; ++c) {
    const int position = spread_.positionOf(value, c);
    const float* change = position < 0 ? nullptr : planes(value, block) + position * shape.in.planeStride();
    kernels_.activate(sum, &identity, base(value, c, block), change, moved + c * shape.in.planeStride());
  }
  const bool add = !channels(value).empty();
  if (add) multiply(step, block);
  if (const float* transformed = perturbation_.steps->transformed(step.operation)) {
    kernels_.winograd(shape, moved, transformed, {biasSteps, add}, winogradScratch_.data(), out);
  } else {
    (add ? kernels_.addConvolution : kernels_.convolution)(shape, moved, weightSteps, biasSteps, out);
  }
}

void ChangePass::activate(const Step& step, int block) {
  const int value = step.inputs[0], residual = step.inputs[1];
  if (spread_.fleeting(value) && !channels(value).empty()) recompute(*producer_[value], block);
  const AffineChange* affine = (step.operation >= 0 ? affine_[step.operation] : identity_).data();
  const std::ptrdiff_t stride = plan_.map(value).planeStride();
  const std::ptrdiff_t residualStride = residual >= 0 ? plan_.map(residual).planeStride() : 0;
  const float *base = base_->plane(value, 0, block), *change = planes(value, block);
  const float* residualBase = residual >= 0 ? base_->plane(residual, 0, block) : nullptr;
  const float* residualChange = residual >= 0 ? planes(residual, block) : nullptr;
  float* out = planes(step.output, block);
  planeChanges_.clear();
  for (const int channel : channels(step.output)) {
    const int position = spread_.positionOf(value, channel);
    PlaneChange plane{base + channel * stride,
                      position < 0 ? nullptr : change + position * stride,
                      nullptr,
                      nullptr,
                      affine + channel,
                      out};
    if (residual >= 0) {
      const int other = spread_.positionOf(residual, channel);
      plane.residual = residualBase + channel * residualStride;
      plane.residualChange = other < 0 ? nullptr : residualChange + other * residualStride;
    }
    planeChanges_.push_back(plane);
    out += plan_.map(step.output).planeStride();
  }
  kernels_.activateChange(step.activation, planeChanges_.data(), static_cast<int>(planeChanges_.size()));
}

// A fleeting convolution once more, and what it reads if that was not stored either.
void ChangePass::recompute(const Step& step, int block) {
  const int input = step.inputs[0];
  if (!plan_.stored(input) && !channels(input).empty()) activate(*producer_[input], block);
  convolve(step, block);
}

// Option-A shortcuts, average pools and flattening are linear: they treat a change as they treat a value.
void ChangePass::shrink(const Step& step, int block) {
  const Map &inMap = plan_.map(step.inputs[0]), &outMap = plan_.map(step.output);
  const float* in = planes(step.inputs[0], block);
  float* out = planes(step.output, block);
  for (std::size_t j = 0; j < channels(step.inputs[0]).size(); ++j, in += inMap.planeStride()) {
    if (step.kind == StepKind::Flatten) {
      for (int y = 0; y < inMap.height; ++y) {
        for (int x = 0; x < inMap.width; ++x, out += outMap.planeStride()) {
          std::copy_n(in + inMap.at(0, y, x), kLanes, out + outMap.at(0, 0, 0));
        }
      }
      continue;
    }
    if (step.kind == StepKind::Subsample) {
      kernels_.subsample(inMap, in, graph_.operations()[step.operation].stride, outMap, out);
    } else {
      kernels_.averagePool(inMap, in, outMap, out);
    }
    out += outMap.planeStride();
  }
}

void ChangePass::measure(int value, int block, const Problem& problem) {
  const Map& map = plan_.map(value);
  const std::vector<int>& changed = channels(value);
  const float *base = base_->plane(value, 0, block), *change = planes(value, block);
  const std::ptrdiff_t stride = map.planeStride();
  for (std::size_t j = 0; j < changed.size(); ++j) {
    moments_[value][j].base = base + changed[j] * stride;
    moments_[value][j].change = change + j * stride;
  }
  kernels_.changeMoments(map, moments_[value].data(), static_cast<int>(changed.size()),
                         std::min(kLanes, problem.count - block * kLanes));
}

double ChangePass::lossChange(const Problem& problem) const {
  const int value = plan_.outputValue();
  if (channels(value).empty()) return 0;
  double sum = 0;
  for (int block = 0; block < blocks_; ++block) {
    sum += lossBase_->block(kernels_, problem, block, stored_.at(value, block), channels(value));
  }
  return sum / lossCount(problem, plan_.map(value));
}

float* ChangePass::planes(int value, int block) {
  if (spread_.fleeting(value)) return fleeting_.data();
  return plan_.stored(value) ? stored_.at(value, block) : locals_.at(value, 0);
}

const float* ChangePass::base(int value, int channel, int block) {
  if (plan_.stored(value)) return base_->plane(value, channel, block);
  Recomputed& recomputed = recomputed_[value];
  if (channel != recomputed.channel || block != recomputed.block) {
    const Step& step = *producer_[value];
    Activation shape = step.activation;
    shape.out.channels = 1;
    const float* residual = step.inputs[1] >= 0 ? base_->plane(step.inputs[1], channel, block) : nullptr;
    kernels_.activate(shape, &base_->affine(step)[channel], base_->plane(step.inputs[0], channel, block), residual,
                      recomputed.plane.data());
    recomputed.channel = channel;
    recomputed.block = block;
  }
  return recomputed.plane.data();
}

}  // namespace deepzero
