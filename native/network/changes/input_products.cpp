#include "network/changes/input_products.hpp"

#include <omp.h>

#include <algorithm>

namespace deepzero {

namespace {

// The time that products save a direction, in multiply-adds for every pixel and output channel: its change is not
// stored and read twice, and the base is read once less.
constexpr int kSaved = 16;

// The inputs of all taps are stored for a block: more would take more memory than a network's widest values.
constexpr int kMostTaps = 64;

// The map of the taps' inputs, the last of which is a plane of ones.
Map readMap(const ConvolutionShape& shape, int taps) { return {taps, shape.out.height, shape.out.width, 0}; }

}  // namespace

InputProducts::InputProducts(const Plan& plan, const Kernels& kernels, int blocks)
    : plan_(plan),
      kernels_(kernels),
      blocks_(blocks),
      taps_(plan.operationCount(), 0),
      products_(plan.operationCount()),
      computed_(plan.operationCount(), false) {
  std::size_t most = 0;
  for (const Segment& segment : plan.segments()) {
    for (const int value : segment.measured) {
      const Step* const step = plan.producerOf(value);
      const bool first = step != nullptr && step->kind == StepKind::Convolve && step->inputs[0] == 0;
      if (!first || !plan.recomputable(value)) continue;
      const ConvolutionShape& shape = plan.convolutionShape(step->operation);
      const int taps = shape.in.channels * shape.kernelHeight * shape.kernelWidth + 1;
      if (taps > kMostTaps) continue;
      Aligned<double>& products = products_[step->operation];
      taps_[step->operation] = taps;
      products = Aligned<double>(static_cast<std::size_t>(taps + shape.out.channels) * taps);
      most = std::max(most, products.size());
      readSize_ = std::max(readSize_, readMap(shape, taps).size());
    }
  }
  ofBlocks_ = Aligned<double>(most * blocks);
}

void InputProducts::reserve(int threads) {
  if (read_.size() < readSize_ * threads) read_ = AlignedFloats(readSize_ * threads);
}

bool InputProducts::worthwhile(const Step& step, std::size_t directions) const {
  const double saved = static_cast<double>(directions) * kSaved * plan_.map(step.output).channels;
  return saved > static_cast<double>(products_[step.operation].size());
}

void InputProducts::compute(const Problem& problem, const ChangeBase& base, std::size_t directions,
                            const Control& control) {
  for (const Step& step : plan_.steps()) {
    if (!supports(step)) continue;
    computed_[step.operation] = problem.training && worthwhile(step, directions);
    if (!computed_[step.operation]) continue;
    Aligned<double>& products = products_[step.operation];
#pragma omp parallel for schedule(dynamic) num_threads(control.threads)
    for (int block = 0; block < blocks_; ++block) {
      if (control.stop()) continue;
      float* const read = read_.data() + omp_get_thread_num() * readSize_;
      computeBlock(step, block, problem, base, read, ofBlocks_.data() + block * products.size());
    }
    if (control.stop()) throw Cancelled();
    for (std::size_t i = 0; i < products.size(); ++i) {
      products[i] = 0;
      for (int block = 0; block < blocks_; ++block) products[i] += ofBlocks_[block * products.size() + i];
    }
  }
}

void InputProducts::computeBlock(const Step& step, int block, const Problem& problem, const ChangeBase& base,
                                 float* read, double* products) const {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const int taps = taps_[step.operation], window = shape.kernelHeight * shape.kernelWidth;
  const Map map = readMap(shape, taps);
  for (int tap = 0; tap < taps - 1; ++tap) {
    const float* const plane = base.base(0, tap / window, block);
    const int row = tap % window / shape.kernelWidth - shape.padding, column = tap % shape.kernelWidth - shape.padding;
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; ++x) {
        std::copy_n(plane + shape.in.at(0, y * shape.stride + row, x * shape.stride + column), kLanes,
                    read + map.at(tap, y, x));
      }
    }
  }
  std::fill_n(read + map.at(taps - 1, 0, 0), map.planeStride(), 1.0f);
  const int lanes = lanesOf(problem, block);
  // The weight gradient of a 1×1 convolution is the product of input and output gradient, summed over pixels.
  kernels_.weightGradient({map, map}, read, read, lanes, products);
  kernels_.weightGradient({map, shape.out}, read, base.base(step.output, 0, block), lanes,
                          products + static_cast<std::size_t>(taps) * taps);
}

InputProducts::Moments InputProducts::moments(const Step& step, int channel, const Weights& steps) const {
  const ConvolutionShape& shape = plan_.convolutionShape(step.operation);
  const int taps = taps_[step.operation];
  const float* const bias = steps.bias(step.operation);
  double u[kMostTaps];
  for (int k = 0; k < taps - 1; ++k) {
    const std::size_t index = static_cast<std::size_t>(channel) * (taps - 1) + k;
    u[k] = steps.weight(step.operation)[shape.packedIndex(index)];
  }
  u[taps - 1] = bias == nullptr ? 0 : bias[channel];
  const double* const products = products_[step.operation].data();
  const double* const withBase = products + static_cast<std::size_t>(taps + channel) * taps;
  Moments result{};
  for (int k = 0; k < taps; ++k) {
    const double* const row = products + static_cast<std::size_t>(k) * taps;
    double sum = 0;
    for (int j = 0; j < taps; ++j) sum += row[j] * u[j];
    result.square += u[k] * (2 * withBase[k] + sum);
    if (k == taps - 1) result.sum = sum;
  }
  return result;
}

}  // namespace deepzero
