#include "network/changes/loss_change.hpp"

#include <algorithm>
#include <cmath>

namespace deepzero {

namespace {

// |e + Δ| − |e| without cancellation: ±Δ, or where e + Δ crosses zero, −(±Δ) − 2|e|.
double absoluteChange(double error, double change) {
  const double outward = error < 0 ? -change : change;
  return std::max(outward, -outward - 2 * std::abs(error));
}

}  // namespace

LossChange::LossChange(const Map& map, int blocks)
    : map_(map), outputs_(map.size() * blocks), probabilities_(map.size() * blocks), labels_(map.size() * blocks) {}

void LossChange::prepare(const Problem& problem, const Float64Pass& base) {
  for (int block = 0; block < base.blocks(); ++block) {
    std::copy_n(base.outputBlock(block), map_.size(), outputs_.data() + block * map_.size());
  }
  if (problem.loss != Loss::CrossEntropy) return;
  for (int image = 0; image < problem.count; ++image) {
    const int lane = image % kLanes;
    const double* outputs = outputsOf(image / kLanes) + lane;
    const std::size_t at = image / kLanes * map_.size() + lane;
    double largest = outputs[0], sum = 0;
    for (int c = 1; c < map_.channels; ++c) largest = std::max(largest, outputs[c * kLanes]);
    for (int c = 0; c < map_.channels; ++c) sum += std::exp(outputs[c * kLanes] - largest);
    for (int c = 0; c < map_.channels; ++c) {
      probabilities_.data()[at + c * kLanes] = static_cast<float>(std::exp(outputs[c * kLanes] - largest) / sum);
      labels_.data()[at + c * kLanes] = c == problem.labels[image] ? 1.0f : 0.0f;
    }
  }
}

double LossChange::block(const Kernels& kernels, const Problem& problem, int block, const float* change,
                         const std::vector<int>& channels) const {
  const int lanes = lanesOf(problem, block);
  if (problem.loss == Loss::CrossEntropy) {
    float largest = 0;
    const std::size_t at = block * map_.size();
    const double sum =
        kernels.crossEntropyChange(probabilities_.data() + at, labels_.data() + at, map_.channels, change,
                                   channels.data(), static_cast<int>(channels.size()), lanes, &largest);
    return largest > 0.5f ? crossEntropyInDouble(problem, block, change, channels) : sum;
  }
  if (problem.loss == Loss::None) return finiteness(change, channels, lanes);
  const std::size_t plane = static_cast<std::size_t>(map_.height) * map_.width, image = plane * map_.channels;
  const double* outputs = outputsOf(block);
  double sum = 0;
  for (const int channel : channels) {
    for (std::size_t i = 0; i < plane; ++i) {
      for (int lane = 0; lane < lanes; ++lane) {
        const std::size_t element = channel * plane + i;
        const double error =
            outputs[element * kLanes + lane] - problem.targets[(block * kLanes + lane) * image + element];
        const double delta = change[element * kLanes + lane];
        sum += problem.loss == Loss::MeanSquaredError ? (2 * error + delta) * delta : absoluteChange(error, delta);
      }
    }
  }
  return sum;
}

// 0, or NaN if a change is not finite.
double LossChange::finiteness(const float* change, const std::vector<int>& channels, int lanes) const {
  const std::size_t plane = static_cast<std::size_t>(map_.height) * map_.width;
  double sum = 0;
  for (const int channel : channels) {
    for (std::size_t element = channel * plane; element < (channel + 1) * plane; ++element) {
      for (int lane = 0; lane < lanes; ++lane) {
        const double delta = change[element * kLanes + lane];
        sum += delta - delta;
      }
    }
  }
  return sum;
}

void LossChange::outputs(const Problem& problem, double* rows) const {
  const std::size_t width = static_cast<std::size_t>(map_.channels) * map_.height * map_.width;
  for (int image = 0; image < problem.count; ++image) {
    const double* outputs = outputsOf(image / kLanes) + image % kLanes;
    for (std::size_t element = 0; element < width; ++element) *rows++ = outputs[element * kLanes];
  }
}

void LossChange::add(const Problem& problem, int block, const float* change, const std::vector<int>& channels,
                     double* rows) const {
  const int lanes = lanesOf(problem, block);
  const std::size_t plane = static_cast<std::size_t>(map_.height) * map_.width, width = plane * map_.channels;
  rows += block * kLanes * width;
  for (const int channel : channels) {
    for (std::size_t element = channel * plane; element < (channel + 1) * plane; ++element) {
      for (int lane = 0; lane < lanes; ++lane) rows[lane * width + element] += change[element * kLanes + lane];
    }
  }
}

// For changes so large that nothing cancels and the kernel's series is not accurate.
double LossChange::crossEntropyInDouble(const Problem& problem, int block, const float* change,
                                        const std::vector<int>& channels) const {
  const int lanes = lanesOf(problem, block);
  const double* outputs = outputsOf(block);
  std::vector<double> before(map_.channels), after(map_.channels);
  const auto logSumExp = [](const std::vector<double>& values) {
    const double largest = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (double value : values) sum += std::exp(value - largest);
    return std::log(sum) + largest;
  };
  double sum = 0;
  for (int lane = 0; lane < lanes; ++lane) {
    for (int c = 0; c < map_.channels; ++c) before[c] = outputs[c * kLanes + lane];
    after = before;
    for (const int channel : channels) after[channel] += change[channel * kLanes + lane];
    const int label = problem.labels[block * kLanes + lane];
    sum += logSumExp(after) - logSumExp(before) - (after[label] - before[label]);
  }
  return sum;
}

}  // namespace deepzero
