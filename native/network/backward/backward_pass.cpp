#include "network/backward/backward_pass.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "network/loss.hpp"

namespace deepzero {

namespace {

template <typename Scalar>
void put(Scalar* to, const Scalar* from, std::size_t count, Scalar factor, bool add) {
  if (add) {
    for (std::size_t i = 0; i < count; ++i) to[i] += factor * from[i];
  } else {
    for (std::size_t i = 0; i < count; ++i) to[i] = factor * from[i];
  }
}

// Adds Σ over the pixels of a row of at(pixel · kLanes + lane) to the sum of each lane.
template <typename Scalar, typename Function>
void addRow(int width, double* sums, const Function& at) {
  Scalar row[kLanes] = {};
  for (int x = 0; x < width; ++x) {
    for (int lane = 0; lane < kLanes; ++lane) row[lane] += at(x * kLanes + lane);
  }
  for (int lane = 0; lane < kLanes; ++lane) sums[lane] += row[lane];
}

double sumOf(const double* lanes, int count) {
  double sum = 0;
  for (int lane = 0; lane < count; ++lane) sum += lanes[lane];
  return sum;
}

std::size_t planeSize(const Map& map) { return static_cast<std::size_t>(map.height) * map.width * kLanes; }

}  // namespace

template <typename Scalar>
BackwardWorkspaceOf<Scalar>::BackwardWorkspaceOf(const Plan& plan)
    : locals(plan.localGradients(), 1), winograd(std::is_same_v<Scalar, float> ? plan.transposedWinogradScratch() : 0) {
  std::size_t largest = 0, terms = 0, planes = 0;
  for (const Step& step : plan.steps()) {
    if (step.kind == StepKind::Activate) planes = std::max(planes, planeSize(plan.map(step.inputs[0])));
    if (step.kind != StepKind::Convolve || !plan.needsGradient(step.inputs[0])) continue;
    const ConvolutionShape transposed = plan.convolutionShape(step.operation).transposed();
    largest = std::max(largest, transposed.in.size());
    terms = std::max(terms, transposed.out.size());
  }
  dilated = Aligned<Scalar>(largest);
  term = Aligned<Scalar>(terms);
  plane = Aligned<Scalar>(planes);
}

template <typename Scalar>
BackwardPassOf<Scalar>::BackwardPassOf(const Graph& graph, const Plan& plan, const Kernels& kernels, int blocks)
    : graph_(graph),
      plan_(plan),
      kernels_(kernels),
      blocks_(blocks),
      stored_(plan.gradients(), blocks),
      corrections_(graph.shapes().size()),
      partialOffset_(graph.parameters().size()) {
  for (const Segment& segment : plan.segments()) {
    for (const int value : segment.measured) corrections_[value].resize(plan.map(value).channels);
    std::size_t size = 0;
    for (int s = segment.firstStep; s < segment.endStep; ++s) {
      const int operation = plan.steps()[s].operation;
      if (operation < 0) continue;
      for (const int tensor : {graph.weightOf(operation), graph.biasOf(operation)}) {
        if (tensor < 0) continue;
        partialOffset_[tensor] = size;
        size += graph.parameters()[tensor].size;
      }
    }
    partialSize_ = std::max(partialSize_, size);
  }
  partialSums_ = Aligned<double>(partialSize_ * blocks);
  countVector(partialOffset_);
  for (const auto& correction : corrections_) countVector(correction);
}

template <typename Scalar>
void BackwardPassOf<Scalar>::reserve(int threads) {
  while (static_cast<int>(workspaces_.size()) < threads) workspaces_.emplace_back(plan_);
}

template <typename Scalar>
std::vector<double> BackwardPassOf<Scalar>::run(const Problem& problem, const PassOf<Scalar>& pass,
                                                const Weights& transposed, std::vector<WorkspaceOf<Scalar>>& workspaces,
                                                const Control& control) {
  for (auto& correction : corrections_) std::fill(correction.begin(), correction.end(), Correction());
  // Stays 0 for parameters that the loss does not depend on.
  std::vector<double> values(graph_.parameterCount());
  for (int index = static_cast<int>(plan_.segments().size()) - 1; index >= 0; --index) {
    const Segment& segment = plan_.segments()[index];
#pragma omp parallel for schedule(dynamic) num_threads(control.threads)
    for (int block = 0; block < blocks_; ++block) {
      const int thread = omp_get_thread_num();
      if (!control.stop())
        runBlock(segment, {problem, pass, transposed, workspaces[thread], workspaces_[thread], block});
    }
    if (control.stop()) throw Cancelled();
    combine(segment, problem, pass, values.data());
  }
  return values;
}

template <typename Scalar>
void BackwardPassOf<Scalar>::runBlock(const Segment& segment, const Context& context) {
  context.pass.recompute(segment, context.block, context.forward.locals);
  for (int s = segment.endStep - 1; s >= segment.firstStep; --s) {
    const Step& step = plan_.steps()[s];
    if (!plan_.needsGradient(step.output)) continue;
    addCorrections(step.output, context);
    switch (step.kind) {
      case StepKind::Convolve: convolve(step, context); break;
      case StepKind::Activate: activate(step, context); break;
      case StepKind::AveragePool: averagePool(step, context); break;
      case StepKind::Flatten: flatten(step, context); break;
    }
  }
}

// Completes a value's gradient, after all its readers have added their part.
template <typename Scalar>
void BackwardPassOf<Scalar>::addCorrections(int value, const Context& context) {
  const Map& map = plan_.map(value);
  Scalar* to = gradient(value, context);
  if (value == plan_.outputValue()) {
    blockLossGradient(context.problem, map, context.pass.outputBlock(context.block), context.block, to);
  }
  if (!context.problem.training) return;
  const Scalar* in = context.pass.read(value, context.block, context.forward.locals);
  for (std::size_t c = 0; c < corrections_[value].size(); ++c) {
    const Correction& correction = corrections_[value][c];
    const auto constant = static_cast<Scalar>(correction.constant), slope = static_cast<Scalar>(correction.slope);
    const Scalar mean = correction.mean;
    for (int y = 0; y < map.height; ++y, to += map.width * kLanes) {
      const Scalar* row = in + map.at(static_cast<int>(c), y, 0);
      for (int i = 0; i < map.width * kLanes; ++i) to[i] += constant + slope * (row[i] - mean);
    }
  }
}

template <typename Scalar>
void BackwardPassOf<Scalar>::convolve(const Step& step, const Context& context) {
  const int input = step.inputs[0], lanes = lanesOf(context.problem, context.block);
  ConvolutionShape shape = plan_.convolutionShape(step.operation);
  shape.out = plan_.gradientMap(step.output);
  const Scalar* out = gradient(step.output, context);
  valueKernels<Scalar>(kernels_).weightGradient(shape, context.pass.read(input, context.block, context.forward.locals),
                                                out, lanes, partialSum(graph_.weightOf(step.operation), context.block));
  if (graph_.biasOf(step.operation) >= 0) {
    for (int c = 0; c < shape.out.channels; ++c) {
      double sums[kLanes] = {};
      for (int y = 0; y < shape.out.height; ++y) {
        const Scalar* row = out + shape.out.at(c, y, 0);
        addRow<Scalar>(shape.out.width, sums, [&](int i) { return row[i]; });
      }
      partialSum(graph_.biasOf(step.operation), context.block)[c] = sumOf(sums, lanes);
    }
  }
  if (!plan_.needsGradient(input)) return;

  BackwardWorkspaceOf<Scalar>& workspace = context.backward;
  const bool add = adds(step, 0);
  const ConvolutionShape transposed = shape.transposed();
  Scalar* to = add ? workspace.term.data() : gradient(input, context);
  dilate(shape, out, workspace.dilated.data());
  deepzero::convolve<Scalar>(kernels_, transposed, workspace.dilated.data(), context.transposed, step.operation,
                             nullptr, workspace.winograd.data(), to);
  if (add) put(gradient(input, context), to, transposed.out.size(), Scalar{1}, true);
}

// Dilates the gradient of a convolution's output for the transposed convolution.
template <typename Scalar>
void BackwardPassOf<Scalar>::dilate(const ConvolutionShape& shape, const Scalar* outGradient, Scalar* out) const {
  const Map map = shape.transposed().in;
  const int stride = shape.stride, firstRow = shape.transposedRow(), firstColumn = shape.transposedColumn();
  const int columns = std::min(shape.out.width, (map.width - firstColumn + stride - 1) / stride);
  const int skipped = firstColumn < 0 ? (-firstColumn + stride - 1) / stride : 0;
  for (int c = 0; c < map.channels; ++c) {
    for (int row = -map.border; row < map.height + map.border; ++row) {
      std::fill_n(out + map.at(c, row, -map.border), map.rowStride(), Scalar{0});
      const int y = (row - firstRow) / stride;
      if (row < std::max(0, firstRow) || row >= map.height || y * stride != row - firstRow || y >= shape.out.height) {
        continue;
      }
      for (int x = skipped; x < columns; ++x) {
        std::copy_n(outGradient + shape.out.at(c, y, x), kLanes, out + map.at(c, row, firstColumn + x * stride));
      }
    }
  }
}

template <typename Scalar>
void BackwardPassOf<Scalar>::activate(const Step& step, const Context& context) {
  const ValueKernels<Scalar>& kernels = valueKernels<Scalar>(kernels_);
  const int input = step.inputs[0], other = step.inputs[1];
  const Map &in = plan_.map(input), outMap = plan_.gradientMap(step.output);
  const Scalar* values = context.pass.read(input, context.block, context.forward.locals);
  const Scalar* residuals = other >= 0 ? context.pass.read(other, context.block, context.forward.locals) : nullptr;
  const Scalar* out = gradient(step.output, context);
  Scalar* toInput = plan_.needsGradient(input) ? gradient(input, context) : nullptr;
  Scalar* toOther = other >= 0 && plan_.needsGradient(other) ? gradient(other, context) : nullptr;
  const std::size_t size = planeSize(in);
  Scalar* plane = context.backward.plane.data();
  for (int c = 0; c < in.channels; ++c) {
    const AffineOf<Scalar>& affine = context.pass.affine(step)[c];
    const Scalar* from = values + c * in.planeStride();
    const Scalar* residual = residuals == nullptr ? nullptr : residuals + c * step.activation.residual.planeStride();
    kernels.activateGradient(step.activation, affine, from, residual, out + c * outMap.planeStride(), plane);
    if (isNorm(step)) {
      double sums[kLanes] = {}, products[kLanes] = {};
      for (int y = 0; y < in.height; ++y) {
        const Scalar *row = plane + std::ptrdiff_t{y} * in.width * kLanes, *x = from + in.at(0, y, 0);
        const Scalar mean = affine.mean;
        addRow<Scalar>(in.width, sums, [&](int i) { return row[i]; });
        addRow<Scalar>(in.width, products, [&](int i) { return row[i] * (x[i] - mean); });
      }
      const int lanes = lanesOf(context.problem, context.block);
      partialSum(graph_.weightOf(step.operation), context.block)[c] = sumOf(products, lanes);
      partialSum(graph_.biasOf(step.operation), context.block)[c] = sumOf(sums, lanes);
    }
    if (toInput != nullptr) put(toInput + c * size, plane, size, affine.scale, adds(step, 0));
    if (toOther != nullptr) put(toOther + c * size, plane, size, Scalar{1}, adds(step, 1));
  }
}

template <typename Scalar>
void BackwardPassOf<Scalar>::averagePool(const Step& step, const Context& context) {
  if (!plan_.needsGradient(step.inputs[0])) return;
  const ConvolutionShape& windows = plan_.convolutionShape(step.operation);
  const Map in = plan_.gradientMap(step.inputs[0]), outMap = plan_.gradientMap(step.output);
  const Scalar* out = gradient(step.output, context) + plan_.paddingBefore(step) * outMap.planeStride();
  Scalar* to = gradient(step.inputs[0], context);
  if (!adds(step, 0)) std::fill_n(to, in.size(), Scalar{0});
  const Scalar part =
      Scalar{1} / (static_cast<Scalar>(windows.kernelHeight) * static_cast<Scalar>(windows.kernelWidth));
  for (int c = 0; c < in.channels; ++c) {
    for (int y = 0; y < outMap.height; ++y) {
      for (int x = 0; x < outMap.width; ++x) {
        const Scalar* from = out + outMap.at(c, y, x);
        for (int i = 0; i < windows.kernelHeight; ++i) {
          for (int j = 0; j < windows.kernelWidth; ++j) {
            put(to + in.at(c, y * windows.stride + i, x * windows.stride + j), from, kLanes, part, true);
          }
        }
      }
    }
  }
}

// Gradients have no border, so both hold the same numbers in the same order.
template <typename Scalar>
void BackwardPassOf<Scalar>::flatten(const Step& step, const Context& context) {
  if (!plan_.needsGradient(step.inputs[0])) return;
  put(gradient(step.inputs[0], context), gradient(step.output, context), plan_.gradientMap(step.output).size(),
      Scalar{1}, adds(step, 0));
}

// Adds up the parts of a segment's blocks, in their order.
template <typename Scalar>
void BackwardPassOf<Scalar>::combine(const Segment& segment, const Problem& problem, const PassOf<Scalar>& pass,
                                     double* values) {
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    if (step.operation < 0 || !plan_.needsGradient(step.output)) continue;
    for (const int tensor : {graph_.weightOf(step.operation), graph_.biasOf(step.operation)}) {
      if (tensor < 0) continue;
      const Parameter& parameter = graph_.parameters()[tensor];
      for (int block = 0; block < blocks_; ++block) {
        const double* found = partialSum(tensor, block);
        for (std::size_t i = 0; i < parameter.size; ++i) values[parameter.offset + i] += found[i];
      }
    }
    if (isNorm(step)) finishNorm(step, problem, pass, values);
  }
}

// Computes the gradients of γ and β, and the correction of the input's, from Σg and Σg·(x − the rounded mean).
template <typename Scalar>
void BackwardPassOf<Scalar>::finishNorm(const Step& step, const Problem& problem, const PassOf<Scalar>& pass,
                                        double* values) {
  const Map& map = plan_.map(step.inputs[0]);
  const double count = static_cast<double>(problem.count) * map.height * map.width;
  double* gamma = values + graph_.parameters()[graph_.weightOf(step.operation)].offset;
  const double* beta = values + graph_.parameters()[graph_.biasOf(step.operation)].offset;
  for (int c = 0; c < map.channels; ++c) {
    const auto [mean, variance] = pass.moments(problem, step.operation, c);
    const AffineOf<Scalar>& affine = pass.affine(step)[c];
    const double inverse = 1 / std::sqrt(variance + graph_.operations()[step.operation].epsilon);
    const double rounding = mean - static_cast<double>(affine.mean);
    gamma[c] = (gamma[c] - rounding * beta[c]) * inverse;
    if (!problem.training) continue;
    Correction& correction = corrections_[step.inputs[0]][c];
    const double scale = affine.scale, slope = -scale * inverse * gamma[c] / count;
    correction.mean = affine.mean;
    correction.slope += slope;
    correction.constant += -scale * beta[c] / count - slope * rounding;
  }
}

template <typename Scalar>
Scalar* BackwardPassOf<Scalar>::gradient(int value, const Context& context) {
  return plan_.stored(value) ? stored_.at(value, context.block) : context.backward.locals.at(value, 0);
}

template <typename Scalar>
bool BackwardPassOf<Scalar>::adds(const Step& step, int input) const {
  const bool first = &plan_.steps()[0] + plan_.gradientFrom(step.inputs[input]) == &step;
  return !first || (input == 1 && step.inputs[0] == step.inputs[1]);
}

template struct BackwardWorkspaceOf<float>;
template struct BackwardWorkspaceOf<double>;
template class BackwardPassOf<float>;
template class BackwardPassOf<double>;

}  // namespace deepzero
