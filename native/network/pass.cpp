#include "network/pass.hpp"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "network/loss.hpp"

namespace deepzero {

static constexpr double kMomentum = 0.1;

template <typename Scalar>
PassOf<Scalar>::PassOf(const Graph& graph, const Plan& plan, const Kernels& kernels, ArenaOf<Scalar> values, int blocks)
    : graph_(graph),
      plan_(plan),
      kernels_(kernels),
      blocks_(blocks),
      values_(std::move(values)),
      statistics_(graph.shapes().size()),
      blockMean_(graph.shapes().size()),
      blockSquares_(graph.shapes().size()),
      affine_(graph.operations().size()) {
  for (const Segment& segment : plan.segments()) {
    for (int value : segment.measured) {
      const std::size_t channels = plan.map(value).channels;
      statistics_[value] = {std::vector<double>(channels), std::vector<double>(channels)};
      blockMean_[value] = Aligned<double>(channels * blocks);
      blockSquares_[value] = Aligned<double>(channels * blocks);
    }
  }
  std::size_t most = 0;
  for (std::size_t i = 0; i < affine_.size(); ++i) {
    const std::size_t channels = graph.shapes()[i + 1].channels;
    most = std::max(most, channels);
    if (graph.operations()[i].kind == Kind::BatchNorm) affine_[i].resize(channels);
  }
  identity_.resize(std::max<std::size_t>(most, graph.shapes()[0].channels));
  countVector(identity_);
  for (const auto& affine : affine_) countVector(affine);
  for (const ChannelStatistics& statistics : statistics_) {
    countVector(statistics.mean);
    countVector(statistics.variance);
  }
}

template <typename Scalar>
const Scalar* PassOf<Scalar>::read(int value, int block, const ArenaOf<Scalar>& locals) const {
  if (!plan_.stored(value)) return locals.at(value, 0);
  return (plan_.producedIn(value) < from_ ? base_->values_ : values_).at(value, block);
}

template <typename Scalar>
Scalar* PassOf<Scalar>::written(int value, int block, ArenaOf<Scalar>& locals) {
  return plan_.stored(value) ? values_.at(value, block) : locals.at(value, 0);
}

template <typename Scalar>
const ChannelStatistics& PassOf<Scalar>::statistics(int value) const {
  return (plan_.producedIn(value) < from_ ? base_ : this)->statistics_[value];
}

template <typename Scalar>
double PassOf<Scalar>::run(const Problem& problem, const Weights& weights, std::vector<WorkspaceOf<Scalar>>& workspaces,
                           const Control& control, ObserverOf<Scalar>* observer) {
  from_ = 0;
  for (int segment = 0; segment < static_cast<int>(plan_.segments().size()); ++segment) {
    prepare(segment, problem, weights);
    if (observer != nullptr) observer->beforeSegment(*this, plan_.segments()[segment], problem);
#pragma omp parallel for schedule(dynamic) num_threads(control.threads)
    for (int block = 0; block < blocks_; ++block) {
      if (!control.stop()) runBlock(segment, block, problem, weights, workspaces[omp_get_thread_num()], observer);
    }
    if (control.stop()) throw Cancelled();
    combineMoments(segment, problem);
  }
  return loss(problem);
}

template <typename Scalar>
double PassOf<Scalar>::restart(int from, const Problem& problem, const Weights& weights, WorkspaceOf<Scalar>& workspace,
                               const Control& control) {
  from_ = from;
  for (int segment = from; segment < static_cast<int>(plan_.segments().size()); ++segment) {
    prepare(segment, problem, weights);
    for (int block = 0; block < blocks_; ++block) {
      if (control.stop()) return std::numeric_limits<double>::quiet_NaN();
      runBlock(segment, block, problem, weights, workspace, nullptr);
    }
    combineMoments(segment, problem);
  }
  return loss(problem);
}

// Computes the affine maps of a segment's batch norms from their statistics, γ and β.
template <typename Scalar>
void PassOf<Scalar>::prepare(int index, const Problem& problem, const Weights& weights) {
  const Segment& segment = plan_.segments()[index];
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    if (step.kind != StepKind::Activate || step.operation < 0) continue;
    const double epsilon = graph_.operations()[step.operation].epsilon;
    std::vector<AffineOf<Scalar>>& affine = affine_[step.operation];
    const float* gamma = weights.weight(step.operation);
    const float* beta = weights.bias(step.operation);
    for (std::size_t c = 0; c < affine.size(); ++c) {
      const auto [mean, variance] = moments(problem, step.operation, static_cast<int>(c));
      const double scale = gamma[c] / std::sqrt(variance + epsilon);
      // The mean is rounded to be subtracted; the shift makes up for its rounding.
      affine[c].mean = static_cast<Scalar>(mean);
      affine[c].scale = static_cast<Scalar>(scale);
      affine[c].shift = static_cast<Scalar>(beta[c] - (mean - affine[c].mean) * scale);
    }
  }
}

template <typename Scalar>
std::pair<double, double> PassOf<Scalar>::moments(const Problem& problem, int operation, int channel) const {
  const int value = graph_.operations()[operation].inputs[0];
  if (problem.training) return {statistics(value).mean[channel], statistics(value).variance[channel]};
  const float* running = problem.statistics + graph_.statisticsOffset(operation);
  return {running[channel], running[plan_.map(value).channels + channel]};
}

template <typename Scalar>
void PassOf<Scalar>::runBlock(int index, int block, const Problem& problem, const Weights& weights,
                              WorkspaceOf<Scalar>& workspace, ObserverOf<Scalar>* observer) {
  if (index == 0) loadInput(problem, block);
  const Segment& segment = plan_.segments()[index];
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    const Scalar* in = read(step.inputs[0], block, workspace.locals);
    const Scalar* residual = step.inputs[1] >= 0 ? read(step.inputs[1], block, workspace.locals) : nullptr;
    if (observer != nullptr) observer->beforeStep(*this, s, block, in, residual);
    runStep<Scalar>(plan_, kernels_, step, weights,
                    {in, residual, written(step.output, block, workspace.locals), affine(step).data()},
                    workspace.winograd.data());
  }
  if (!problem.training) return;
  for (int value : segment.measured) {
    const Map& map = plan_.map(value);
    const std::size_t at = static_cast<std::size_t>(block) * map.channels;
    valueKernels<Scalar>(kernels_).moments(map, read(value, block, workspace.locals), lanesOf(problem, block),
                                           &blockMean_[value][at], &blockSquares_[value][at]);
  }
}

template <typename Scalar>
void PassOf<Scalar>::activate(const Step& step, int block, Scalar* out, const ArenaOf<Scalar>& locals) const {
  const Scalar* in = read(step.inputs[0], block, locals);
  const Scalar* residual = step.inputs[1] >= 0 ? read(step.inputs[1], block, locals) : nullptr;
  valueKernels<Scalar>(kernels_).activate(step.activation, affine(step).data(), in, residual, out);
}

template <typename Scalar>
void PassOf<Scalar>::recompute(const Segment& segment, int block, ArenaOf<Scalar>& locals) const {
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    if (!plan_.stored(step.output)) activate(step, block, locals.at(step.output, 0), locals);
  }
}

template <typename Scalar>
void PassOf<Scalar>::loadInput(const Problem& problem, int block) {
  const Map& map = plan_.map(0);
  Scalar* out = values_.at(0, block);
  const std::size_t plane = static_cast<std::size_t>(map.height) * map.width, image = plane * map.channels;
  const int lanes = lanesOf(problem, block);
  for (int lane = 0; lane < kLanes; ++lane) {
    const float* in = problem.images + (static_cast<std::size_t>(block) * kLanes + lane) * image;
    for (int c = 0; c < map.channels; ++c) {
      for (int y = 0; y < map.height; ++y) {
        Scalar* row = out + map.at(c, y, 0) + lane;
        for (int x = 0; x < map.width; ++x) row[x * kLanes] = lane < lanes ? static_cast<Scalar>(*in++) : Scalar{0};
      }
    }
  }
}

// Combines blocks in their order, whichever threads measured them (Chan, Golub & LeVeque's update).
template <typename Scalar>
void PassOf<Scalar>::combineMoments(int index, const Problem& problem) {
  if (!problem.training) return;
  for (int value : plan_.segments()[index].measured) {
    const Map& map = plan_.map(value);
    const double pixels = static_cast<double>(map.height) * map.width;
    ChannelStatistics& statistics = statistics_[value];
    for (int c = 0; c < map.channels; ++c) {
      double count = 0, mean = 0, squares = 0;
      for (int block = 0; block < blocks_; ++block) {
        const double n = lanesOf(problem, block) * pixels;
        const double difference = blockMean_[value][block * map.channels + c] - mean;
        squares += blockSquares_[value][block * map.channels + c] + difference * difference * count * n / (count + n);
        mean += difference * n / (count + n);
        count += n;
      }
      statistics.mean[c] = mean;
      statistics.variance[c] = squares / count;
    }
  }
}

template <typename Scalar>
double PassOf<Scalar>::loss(const Problem& problem) const {
  const int output = plan_.outputValue();
  const Map& map = plan_.map(output);
  const ArenaOf<Scalar>& values = outputValues();
  double sum = 0;
  for (int block = 0; block < blocks_; ++block) {
    sum += blockLoss(problem, map, values.at(output, block), block);
  }
  return sum / lossCount(problem, map);
}

// A restart behind the last step does not compute the output itself.
template <typename Scalar>
const ArenaOf<Scalar>& PassOf<Scalar>::outputValues() const {
  return plan_.producedIn(plan_.outputValue()) < from_ ? base_->values_ : values_;
}

template <typename Scalar>
template <typename To>
void PassOf<Scalar>::copyOutputs(const Problem& problem, To* rows) const {
  const int output = plan_.outputValue();
  const Map& map = plan_.map(output);
  const ArenaOf<Scalar>& values = outputValues();
  for (int image = 0; image < problem.count; ++image) {
    const Scalar* block = values.at(output, image / kLanes) + image % kLanes;
    for (int c = 0; c < map.channels; ++c) {
      for (int y = 0; y < map.height; ++y) {
        for (int x = 0; x < map.width; ++x) *rows++ = static_cast<To>(block[map.at(c, y, x)]);
      }
    }
  }
}

template <typename Scalar>
std::vector<float> PassOf<Scalar>::outputs(const Problem& problem) const {
  std::vector<float> result(problem.count * graph_.output().size());
  copyOutputs(problem, result.data());
  return result;
}

template <typename Scalar>
void PassOf<Scalar>::outputs(const Problem& problem, double* rows) const {
  copyOutputs(problem, rows);
}

template <typename Scalar>
std::vector<float> PassOf<Scalar>::runningStatistics(const Problem& problem) const {
  std::vector<float> result(problem.statistics, problem.statistics + graph_.statisticsCount());
  if (!problem.training) return result;
  for (int i = 0; i < static_cast<int>(graph_.operations().size()); ++i) {
    const Operation& operation = graph_.operations()[i];
    if (operation.kind != Kind::BatchNorm) continue;
    const Map& map = plan_.map(operation.inputs[0]);
    const double count = static_cast<double>(problem.count) * map.height * map.width;
    const double unbias = count > 1 ? count / (count - 1) : 1;
    const ChannelStatistics& batch = statistics_[operation.inputs[0]];
    float* mean = result.data() + graph_.statisticsOffset(i);
    float* variance = mean + map.channels;
    for (int c = 0; c < map.channels; ++c) {
      mean[c] = static_cast<float>((1 - kMomentum) * mean[c] + kMomentum * batch.mean[c]);
      variance[c] = static_cast<float>((1 - kMomentum) * variance[c] + kMomentum * batch.variance[c] * unbias);
    }
  }
  return result;
}

template class PassOf<float>;
template class PassOf<double>;

}  // namespace deepzero
