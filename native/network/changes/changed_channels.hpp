// The channels of every value that a perturbation can change.
#pragma once

#include <cstddef>
#include <vector>

#include "network/plan/graph.hpp"
#include "network/plan/plan.hpp"
#include "network/weights.hpp"

namespace deepzero {

// A change of one parameter, or of all.
struct Perturbation {
  int operation = -1;
  bool isBias = false;
  int index = 0;  // within its tensor
  float step = 0;
  const Weights* steps = nullptr;  // the change of every parameter, null if one changes

  bool everywhere() const { return steps != nullptr; }
  bool touches(const Step& step) const { return step.operation >= 0 && (everywhere() || step.operation == operation); }
};

Perturbation perturbationOf(const Graph& graph, std::size_t coordinate, float step);

class ChangedChannels {
 public:
  ChangedChannels(const Graph& graph, const Plan& plan);

  void compute(const Perturbation& perturbation, int firstStep);

  // The changed channels of a value in increasing order.
  const std::vector<int>& channels(int value) const { return channels_[value]; }
  bool contains(int value, int channel) const;
  // Whether a convolution's change is rematerialised: computed where it is read, which is cheaper than to store it. It
  // has at most one changed input channel, and only activations read it.
  bool rematerialised(int value) const { return rematerialised_[value]; }

 private:
  const Plan& plan_;
  std::vector<std::vector<int>> channels_;  // by value
  std::vector<bool> rematerialised_;
};

}  // namespace deepzero
