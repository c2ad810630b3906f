#include "network/changes/change_base.hpp"

#include <algorithm>
#include <cmath>

namespace deepzero {

namespace {

// Farther than this many standard deviations from the mean, hardly any value is near the kink, and distances from it
// would be large.
constexpr double kFarthestKink = 8;

}  // namespace

ChangeBase::ChangeBase(const Graph& graph, const Plan& plan, int blocks)
    : plan_(plan),
      bases_(plan.bases(), blocks),
      sums_(plan.sums(), blocks),
      centers_(graph.shapes().size()),
      normalisations_(graph.operations().size()) {
  int most = 0;
  for (const Step& step : plan.steps()) {
    const int channels = plan.map(step.inputs[0]).channels;
    most = std::max(most, channels);
    if (step.kind == StepKind::Activate && step.operation >= 0) normalisations_[step.operation].resize(channels);
  }
  identity_.resize(most);
  countVector(identity_);
  for (const auto& normalisations : normalisations_) countVector(normalisations);
}

void ChangeBase::beforeSegment(const Float64Pass& pass, const Segment& segment, const Problem& problem) {
  for (int s = segment.firstStep; s < segment.endStep; ++s) {
    const Step& step = plan_.steps()[s];
    if (step.kind != StepKind::Activate || step.operation < 0) continue;
    const int value = step.inputs[0];
    std::vector<double>& centers = centers_[value];
    const bool first = plan_.baseReader(value) == s, opens = step.inputs[1] < 0 && step.activation.hasKink();
    if (first && plan_.centered(value)) centers.resize(plan_.map(value).channels);
    for (int c = 0; c < plan_.map(value).channels; ++c) {
      const AffineOf<double>& affine = pass.affine(step)[c];
      const auto [mean, variance] = pass.moments(problem, step.operation, c);
      // The ReLU opens at the mean minus this.
      const double before = affine.shift / affine.scale;
      const bool near = opens && std::abs(before) <= kFarthestKink * std::sqrt(variance);
      if (first && !centers.empty()) centers[c] = near ? mean - before : mean;
      const double offset = (centers.empty() ? 0 : centers[c]) - mean;
      // At the kink the shift is zero; computed, it would be a rounding error.
      const bool zero = near && !centers.empty() && centers[c] == mean - before;
      normalisations_[step.operation][c] = {mean, variance, offset, static_cast<float>(affine.scale),
                                            zero ? 0.0f : static_cast<float>(affine.shift + offset * affine.scale)};
    }
  }
}

void ChangeBase::beforeStep(const Float64Pass& pass, int index, int block, const double* in, const double* residual) {
  const Step& step = plan_.steps()[index];
  const int value = step.inputs[0];
  const Map& map = plan_.map(value);
  const bool keeps = plan_.baseReader(value) == index, sums = residual != nullptr;
  if (!keeps && !sums) return;
  const Map& residualMap = sums ? plan_.map(step.inputs[1]) : map;
  for (int c = 0; c < map.channels; ++c) {
    const double center = centers_[value].empty() ? 0 : centers_[value][c];
    const AffineOf<double> affine = step.kind == StepKind::Activate ? pass.affine(step)[c] : AffineOf<double>();
    for (int y = 0; y < map.height; ++y) {
      const std::ptrdiff_t at = map.at(c, y, 0), other = residualMap.at(c, y, 0);
      for (int i = 0; keeps && i < map.width * kLanes; ++i) {
        bases_.at(value, block)[at + i] = static_cast<float>(in[at + i] - center);
      }
      for (int i = 0; sums && i < map.width * kLanes; ++i) {
        const double sum = (in[at + i] - affine.mean) * affine.scale + affine.shift + residual[other + i];
        sums_.at(step.output, block)[at + i] = static_cast<float>(sum);
      }
    }
  }
}

}  // namespace deepzero
