#include "network/change_pass.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include "network/loss.hpp"

namespace deepzero {

namespace {

bool isExpensive(Kind kind) { return kind == Kind::Convolution || kind == Kind::Linear; }

}  // namespace

ChangePass::ChangePass(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks)
    : graph_(graph),
      plan_(plan),
      kernels_(kernels),
      blocks_(blocks),
      producer_(graph.shapes().size(), -1),
      materialized_(graph.shapes().size(), false),
      channels_(graph.shapes().size()),
      stored_(plan.scratch(), blocks),
      locals_(plan.locals(), 1),
      baseKey_(graph.shapes().size(), -1),
      sums_(graph.shapes().size()),
      affine_(graph.operations().size()) {
  std::size_t largest = 0, scratch = 0;
  for (int s = 0; s < static_cast<int>(plan.steps().size()); ++s) {
    const Step& step = plan.steps()[s];
    const Kind kind = graph.operations()[step.operation].kind;
    producer_[step.output] = s;
    // Flatten reads a plane once for each of its pixels.
    if (isExpensive(kind) || kind == Kind::Flatten) materialized_[step.inputs[0]] = true;
    if (kind == Kind::BatchNorm) affine_[step.operation].resize(plan.map(step.output).channels);
    if (kind == Kind::Convolution && plan.convolutionShape(step.operation).suitsWinograd()) {
      scratch = std::max(scratch, plan.convolutionShape(step.operation).winogradScratch());
    }
  }
  for (int v = 0; v < static_cast<int>(graph.shapes().size()); ++v) {
    const std::size_t plane = planeMap(v).size();
    largest = std::max(largest, plane);
    const bool used = v == 0 || producer_[v] >= 0;
    basePlane_.emplace_back(used && !plan.stored(v) ? plane : 0);
    changePlane_.emplace_back(used && !materialized(v) ? plane : 0);
    channels_[v].reserve(plan.map(v).channels);
    sums_[v].resize(2 * plan.map(v).channels);
  }
  zero_ = AlignedFloats(largest);
  winogradScratch_ = AlignedFloats(scratch);
}

void ChangePass::startsFrom(const Pass& base, const LossChange& lossBase, const Weights& weights) {
  base_ = &base;
  lossBase_ = &lossBase;
  weights_ = &weights;
  std::fill(baseKey_.begin(), baseKey_.end(), -1);
}

double ChangePass::run(const Problem& problem, std::size_t coordinate, float step, const Control& control) {
  const Parameter& parameter = graph_.parameters()[graph_.parameterAt(coordinate)];
  perturbation_ = {parameter.operation, parameter.isBias, static_cast<int>(coordinate - parameter.offset), step};
  const int from = plan_.segmentOf(parameter.operation);
  spread(plan_.segments()[from].firstStep);
  for (int index = from; index < static_cast<int>(plan_.segments().size()); ++index) {
    const Segment& segment = plan_.segments()[index];
    prepare(segment, problem);
    for (int value : segment.measured) std::fill(sums_[value].begin(), sums_[value].end(), 0.0);
    for (int block = 0; block < blocks_; ++block) {
      if (control.stop()) return std::numeric_limits<double>::quiet_NaN();
      runBlock(segment, block, problem);
    }
  }
  return lossChange(problem);
}

// Finds the channels of every value that can change.
void ChangePass::spread(int firstStep) {
  for (std::vector<int>& channels : channels_) channels.clear();
  for (int s = firstStep; s < static_cast<int>(plan_.steps().size()); ++s) {
    const Step& step = plan_.steps()[s];
    const Operation& operation = graph_.operations()[step.operation];
    const bool perturbed = step.operation == perturbation_.operation;
    const std::vector<int>& in = channels_[step.inputs[0]];
    std::vector<int>& out = channels_[step.output];
    switch (operation.kind) {
      case Kind::Convolution:
      case Kind::Linear:
        if (perturbed) {
          const int taps = plan_.map(step.inputs[0]).channels * operation.kernelHeight * operation.kernelWidth;
          out.push_back(perturbation_.isBias ? perturbation_.index : perturbation_.index / taps);
        } else if (!in.empty()) {
          out.resize(plan_.map(step.output).channels);
          std::iota(out.begin(), out.end(), 0);
        }
        break;
      case Kind::BatchNorm:
        out = in;
        if (perturbed && !changes(step.inputs[0], perturbation_.index)) out.push_back(perturbation_.index);
        break;
      case Kind::Add: {
        const std::vector<int>& other = channels_[step.inputs[1]];
        std::set_union(in.begin(), in.end(), other.begin(), other.end(), std::back_inserter(out));
        break;
      }
      case Kind::OptionA: {
        const int before = (plan_.map(step.output).channels - plan_.map(step.inputs[0]).channels) / 2;
        for (int channel : in) out.push_back(channel + before);
        break;
      }
      case Kind::Flatten: {
        const int pixels = plan_.map(step.inputs[0]).height * plan_.map(step.inputs[0]).width;
        for (int channel : in) {
          for (int i = 0; i < pixels; ++i) out.push_back(channel * pixels + i);
        }
        break;
      }
      case Kind::Relu:
      case Kind::MaxPool:
      case Kind::GlobalAveragePool: out = in; break;
    }
  }
}

// Turns the changes of statistics, γ and β into what `normalizeChange` applies, for the batch norms of a segment.
void ChangePass::prepare(const Segment& segment, const Problem& problem) {
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    const Operation& operation = graph_.operations()[step.operation];
    if (operation.kind != Kind::BatchNorm) continue;
    const int value = step.inputs[0];
    const Map& map = plan_.map(value);
    const double count = static_cast<double>(problem.count) * map.height * map.width;
    const Pass::Affine& affine = base_->affine(step.operation);
    for (int channel : channels_[step.output]) {
      const int position = positionOf(value, channel);
      const auto [mean, variance] = base_->moments(problem, step.operation, channel);
      double meanChange = 0, varianceChange = 0;
      if (problem.training && position >= 0) {
        meanChange = sums_[value][2 * position] / count;
        // The kernel centers on the mean rounded to float.
        const double rounding = static_cast<double>(affine.mean[channel]) - mean;
        varianceChange = sums_[value][2 * position + 1] / count + 2 * rounding * meanChange - meanChange * meanChange;
      }
      // A variance that falls to zero may be rounded to below it.
      varianceChange = std::max(varianceChange, -variance);
      const bool perturbed = step.operation == perturbation_.operation && channel == perturbation_.index;
      const double gammaChange = perturbed && !perturbation_.isBias ? perturbation_.step : 0;
      const double betaChange = perturbed && perturbation_.isBias ? perturbation_.step : 0;
      const double gamma = weights_->weight(step.operation)[channel] + gammaChange;
      const double before = std::sqrt(variance + operation.epsilon);
      const double after = std::sqrt(variance + varianceChange + operation.epsilon);
      // γ′/after − γ/before, its differences taken by hand.
      const double scaleChange = gammaChange / before - gamma * varianceChange / (before * after * (before + after));
      const double newScale = gamma / after;
      const double rounding = static_cast<double>(affine.mean[channel]) - mean;
      affine_[step.operation][channel] = {
          affine.mean[channel],         affine.scale[channel],
          affine.shift[channel],        static_cast<float>(scaleChange),
          static_cast<float>(newScale), static_cast<float>(rounding * scaleChange - meanChange * newScale + betaChange),
      };
    }
  }
}

void ChangePass::runBlock(const Segment& segment, int block, const Problem& problem) {
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    const int value = step.output;
    if (channels_[value].empty()) continue;
    if (isExpensive(graph_.operations()[step.operation].kind)) {
      convolve(step, block);
    } else if (materialized(value)) {
      for (std::size_t j = 0; j < channels_[value].size(); ++j) {
        computeChange(step, channels_[value][j], block, materializedPlane(value, static_cast<int>(j), block));
      }
    }
  }
  if (!problem.training) return;
  for (int value : segment.measured) {
    if (!channels_[value].empty()) measure(value, block, problem);
  }
}

void ChangePass::convolve(const Step& step, int block) {
  const ConvolutionShape shape = plan_.convolutionShape(step.operation);
  const int value = step.inputs[0];
  float* out = materializedPlane(step.output, 0, block);
  if (step.operation != perturbation_.operation) {
    const std::vector<int>& channels = channels_[value];
    const float* in = materializedPlane(value, 0, block);
    const float* packed = weights_->weight(step.operation);
    const float* transformed = weights_->transformed(step.operation);
    if (static_cast<int>(channels.size()) == shape.in.channels && transformed != nullptr) {
      kernels_.winograd(shape, in, transformed, winogradScratch_.data(), out);
    } else if (static_cast<int>(channels.size()) == shape.in.channels) {
      kernels_.convolution(shape, in, packed, nullptr, out);
    } else {
      kernels_.partialConvolution(shape, in, channels.data(), static_cast<int>(channels.size()), packed, out);
    }
  } else if (perturbation_.isBias) {
    for (int y = 0; y < shape.out.height; ++y) {
      std::fill_n(out + shape.out.at(0, y, 0), shape.out.width * kLanes, perturbation_.step);
    }
  } else {
    const int window = shape.kernelHeight * shape.kernelWidth;
    const int channel = perturbation_.index / window % shape.in.channels, tap = perturbation_.index % window;
    kernels_.weightChange(shape, base(value, channel, block), tap / shape.kernelWidth, tap % shape.kernelWidth,
                          perturbation_.step, out);
  }
}

void ChangePass::measure(int value, int block, const Problem& problem) {
  const Map map = planeMap(value);
  const int lanes = std::min(kLanes, problem.count - block * kLanes);
  for (std::size_t j = 0; j < channels_[value].size(); ++j) {
    const int channel = channels_[value][j];
    double sums[2];
    const float mean = static_cast<float>(base_->mean(value, channel));
    kernels_.changeMoments(map, base(value, channel, block), materializedPlane(value, static_cast<int>(j), block), mean,
                           lanes, sums);
    sums_[value][2 * j] += sums[0];
    sums_[value][2 * j + 1] += sums[1];
  }
}

double ChangePass::lossChange(const Problem& problem) const {
  const int value = plan_.outputValue();
  if (channels_[value].empty()) return 0;
  double sum = 0;
  for (int block = 0; block < blocks_; ++block) {
    sum += lossBase_->block(kernels_, problem, block, stored_.at(value, block), channels_[value]);
  }
  return sum / lossCount(problem, plan_.map(value));
}

// Where a channel's plane is among the changed ones, −1 if it does not change.
int ChangePass::positionOf(int value, int channel) const {
  const std::vector<int>& channels = channels_[value];
  if (static_cast<int>(channels.size()) == plan_.map(value).channels) return channel;
  const auto found = std::lower_bound(channels.begin(), channels.end(), channel);
  return found != channels.end() && *found == channel ? static_cast<int>(found - channels.begin()) : -1;
}

long long ChangePass::keyOf(int value, int channel, int block) const {
  return static_cast<long long>(block) * plan_.map(value).channels + channel;
}

Map ChangePass::planeMap(int value) const {
  Map map = plan_.map(value);
  map.channels = 1;
  return map;
}

float* ChangePass::materializedPlane(int value, int position, int block) {
  float* planes = plan_.stored(value) ? stored_.at(value, block) : locals_.at(value, 0);
  return planes + position * plan_.map(value).planeStride();
}

const float* ChangePass::base(int value, int channel, int block) {
  if (plan_.stored(value)) return base_->plane(value, channel, block);
  const long long key = keyOf(value, channel, block);
  float* plane = basePlane_[value].data();
  if (baseKey_[value] != key) {
    baseKey_[value] = key;
    computeBase(plan_.steps()[producer_[value]], channel, block, plane);
  }
  return plane;
}

void ChangePass::computeBase(const Step& step, int channel, int block, float* out) {
  const Operation& operation = graph_.operations()[step.operation];
  const int value = step.inputs[0];
  const Map inMap = planeMap(value), outMap = planeMap(step.output);
  switch (operation.kind) {
    case Kind::BatchNorm: {
      const Pass::Affine& affine = base_->affine(step.operation);
      kernels_.normalize(inMap, base(value, channel, block), &affine.mean[channel], &affine.scale[channel],
                         &affine.shift[channel], step.floor, outMap, out);
      break;
    }
    case Kind::Relu: kernels_.clamp(inMap, base(value, channel, block), step.floor, outMap, out); break;
    case Kind::Add:
      kernels_.add(inMap, base(value, channel, block), planeMap(step.inputs[1]), base(step.inputs[1], channel, block),
                   step.floor, outMap, out);
      break;
    case Kind::OptionA: {
      const int source = channel - (plan_.map(step.output).channels - plan_.map(value).channels) / 2;
      const bool padded = source < 0 || source >= plan_.map(value).channels;
      kernels_.subsample(inMap, padded ? zero_.data() : base(value, source, block), operation.stride, outMap, out);
      break;
    }
    case Kind::MaxPool:
      kernels_.maxPool(inMap, base(value, channel, block), operation.kernel, operation.stride, outMap, out);
      break;
    case Kind::GlobalAveragePool: kernels_.averagePool(inMap, base(value, channel, block), outMap, out); break;
    case Kind::Flatten: {
      const int pixels = inMap.height * inMap.width, pixel = channel % pixels;
      const float* plane = base(value, channel / pixels, block);
      std::copy_n(plane + inMap.at(0, pixel / inMap.width, pixel % inMap.width), kLanes, out + outMap.at(0, 0, 0));
      break;
    }
    case Kind::Convolution:
    case Kind::Linear: break;  // their outputs are always stored
  }
}

const float* ChangePass::change(int value, int channel, int block) {
  const int position = positionOf(value, channel);
  if (position < 0) return nullptr;
  if (materialized(value)) return materializedPlane(value, position, block);
  float* plane = changePlane_[value].data();
  computeChange(plan_.steps()[producer_[value]], channel, block, plane);
  return plane;
}

void ChangePass::computeChange(const Step& step, int channel, int block, float* out) {
  const Operation& operation = graph_.operations()[step.operation];
  const int value = step.inputs[0];
  const Map inMap = planeMap(value), outMap = planeMap(step.output);
  // The change first: it may yield the base as well.
  switch (operation.kind) {
    case Kind::BatchNorm: {
      // What reads this value's change here and now will ask for its base next.
      const bool local = !materialized(step.output);
      if (local) baseKey_[step.output] = keyOf(step.output, channel, block);
      kernels_.normalizeChange(inMap, base(value, channel, block), change(value, channel, block),
                               affine_[step.operation][channel], step.floor, outMap, out,
                               local ? basePlane_[step.output].data() : nullptr);
      break;
    }
    case Kind::Relu: {
      const float* in = change(value, channel, block);
      kernels_.clampChange(inMap, base(value, channel, block), in, step.floor, outMap, out);
      break;
    }
    case Kind::Add: {
      const int other = step.inputs[1];
      const float* in = change(value, channel, block);
      const float* second = change(other, channel, block);
      kernels_.addChange(inMap, base(value, channel, block), in, planeMap(other), base(other, channel, block), second,
                         step.floor, outMap, out);
      break;
    }
    case Kind::OptionA: {
      const int source = channel - (plan_.map(step.output).channels - plan_.map(value).channels) / 2;
      kernels_.subsample(inMap, change(value, source, block), operation.stride, outMap, out);
      break;
    }
    case Kind::MaxPool: {
      const float* in = change(value, channel, block);
      kernels_.maxPoolChange(inMap, base(value, channel, block), in, operation.kernel, operation.stride, outMap, out);
      break;
    }
    case Kind::GlobalAveragePool: kernels_.averagePool(inMap, change(value, channel, block), outMap, out); break;
    case Kind::Flatten: {
      const int pixels = inMap.height * inMap.width, pixel = channel % pixels;
      const float* plane = change(value, channel / pixels, block);
      std::copy_n(plane + inMap.at(0, pixel / inMap.width, pixel % inMap.width), kLanes, out + outMap.at(0, 0, 0));
      break;
    }
    case Kind::Convolution:
    case Kind::Linear: break;  // see convolve
  }
}

}  // namespace deepzero
