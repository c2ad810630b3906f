#include "rollouts/lane_pass.hpp"

#include <algorithm>
#include <stdexcept>

#include "network/run_step.hpp"

namespace deepzero {

LanePass::LanePass(const Graph& graph, const Plan& plan, const Kernels& kernels, bool withDirections)
    : graph_(graph), plan_(plan), kernels_(kernels), values_(plan.scratch(), 1), locals_(plan.locals(), 1) {
  int channels = 1;
  std::size_t largest = 0;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    const Kind kind = graph.operations()[i].kind;
    if (kind == Kind::BatchNorm) throw std::invalid_argument("a rollout's network has no batch norm");
    channels = std::max(channels, graph.shapes()[i].channels);
    if (kind == Kind::Convolution || kind == Kind::Linear) {
      largest = std::max(largest, plan.map(static_cast<int>(i) + 1).size());
    }
  }
  identity_.resize(channels);
  countVector(identity_);
  if (withDirections) sums_ = Aligned<double>(largest);
}

const double* LanePass::run(const Weights& weights, const LaneChange* changes, const LaneDirection& direction) {
  const auto at = [&](int value) { return (plan_.stored(value) ? values_ : locals_).at(value, 0); };
  for (const Step& step : plan_.steps()) {
    const double* const in = at(step.inputs[0]);
    const double* const residual = step.inputs[1] >= 0 ? at(step.inputs[1]) : nullptr;
    double* const out = at(step.output);
    runStep<double>(plan_, kernels_, step, weights, {in, residual, out, identity_.data()}, nullptr);
    if (step.kind != StepKind::Convolve) continue;
    for (int lane = 0; lane < kLanes; ++lane) {
      if (changes[lane].parameter != LaneChange::kNone) addChange(step, in, out, lane, changes[lane]);
    }
    if (direction.direction != nullptr) addDirection(step, in, out, direction);
  }
  return at(plan_.outputValue());
}

void LanePass::addChange(const Step& step, const double* in, double* out, int lane, const LaneChange& change) const {
  const Parameter& tensor = graph_.parameters()[graph_.parameterAt(change.parameter)];
  if (tensor.operation != step.operation) return;
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const std::size_t index = change.parameter - tensor.offset;
  const std::size_t window = static_cast<std::size_t>(shape.kernelHeight) * shape.kernelWidth;
  const std::size_t taps = shape.in.channels * window;
  const int output = static_cast<int>(tensor.isBias ? index : index / taps);
  const int input = static_cast<int>(index % taps / window), tap = static_cast<int>(index % window);
  const int row = tap / shape.kernelWidth - shape.padding, column = tap % shape.kernelWidth - shape.padding;
  for (int y = 0; y < shape.out.height; ++y) {
    double* to = out + shape.out.at(output, y, 0) + lane;
    if (tensor.isBias) {
      for (int x = 0; x < shape.out.width; ++x, to += kLanes) *to += change.step;
      continue;
    }
    const double* from = in + shape.in.at(input, y * shape.stride + row, column) + lane;
    for (int x = 0; x < shape.out.width; ++x, to += kLanes, from += shape.stride * kLanes) *to += change.step * *from;
  }
}

void LanePass::addDirection(const Step& step, const double* in, double* out, const LaneDirection& direction) {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const Weights& weights = *direction.direction;
  kernels_.float64.convolution(shape, in, weights.wideWeight(step.operation), weights.bias(step.operation),
                               sums_.data());
  for (int c = 0; c < shape.out.channels; ++c) {
    for (int y = 0; y < shape.out.height; ++y) {
      const std::ptrdiff_t start = shape.out.at(c, y, 0);
      for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{shape.out.width} * kLanes; ++i) {
        const double scale = direction.scales[i % kLanes], moved = out[start + i] + scale * sums_[start + i];
        // A sum of zero would still change the sign of a zero, and one that overflows would be NaN.
        out[start + i] = scale != 0 ? moved : out[start + i];
      }
    }
  }
}

}  // namespace deepzero
