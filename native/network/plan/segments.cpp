// Cuts the steps into segments.
#include <algorithm>
#include <vector>

#include "network/plan/plan.hpp"

namespace deepzero {

void Plan::makeSegments() {
  const auto& operations = graph_.operations();
  segmentOf_.assign(operations.size(), -1);
  producedIn_.assign(operations.size() + 1, -1);
  producedIn_[0] = 0;
  segments_ = {Segment{}, Segment{}};
  const auto open = [&](int step) {
    if (segments_.back().firstStep == step) return;
    segments_.back().endStep = step;
    segments_.push_back({step, step, {}});
  };
  for (int s = 0; s < static_cast<int>(steps_.size()); ++s) {
    const Step& step = steps_[s];
    const int current = static_cast<int>(segments_.size()) - 1, input = step.inputs[0];
    if (step.kind == StepKind::Activate && step.operation >= 0) {
      std::vector<int>& measured = segments_[producedIn_[input]].measured;
      if (std::find(measured.begin(), measured.end(), input) == measured.end()) measured.push_back(input);
      if (producedIn_[input] == current) open(s);
    }
    // Where pooling has made a convolution's input small, storing that is cheaper than recomputing it.
    if (step.kind == StepKind::Convolve && producedIn_[input] == current) {
      const int first = steps_[segments_.back().firstStep].inputs[0];
      if (graph_.shapes()[input].size() < graph_.shapes()[first].size()) open(s);
    }
    if (step.operation >= 0) segmentOf_[step.operation] = static_cast<int>(segments_.size()) - 1;
    producedIn_[step.output] = static_cast<int>(segments_.size()) - 1;
    segments_.back().endStep = s + 1;
    if (step.kind == StepKind::Convolve && s + 1 < static_cast<int>(steps_.size())) open(s + 1);
  }
}

void Plan::makeBlocks() {
  blockOf_.assign(segments_.size(), 0);
  for (int b = 1; b < static_cast<int>(segments_.size()); ++b) {
    std::vector<int> crossing;
    for (int s = segments_[b].firstStep; s < static_cast<int>(steps_.size()); ++s) {
      for (const int input : steps_[s].inputs) {
        if (input < 0 || producedIn_[input] >= b) continue;
        if (std::find(crossing.begin(), crossing.end(), input) == crossing.end()) crossing.push_back(input);
      }
    }
    blockOf_[b] = crossing.size() == 1 ? b : blockOf_[b - 1];
  }
}

}  // namespace deepzero
