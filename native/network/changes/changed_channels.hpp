// How far a perturbation reaches: the channels of every value that it can change.
#pragma once

#include <cstddef>
#include <vector>

#include "network/plan/graph.hpp"
#include "network/plan/plan.hpp"
#include "network/weights.hpp"

namespace deepzero {

// One parameter that changes, or all of them.
struct Perturbation {
  int operation = -1;
  bool isBias = false;
  int index = 0;  // within its tensor
  float step = 0;
  const Weights* steps = nullptr;  // of every parameter, if all change

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
  // Whether a convolution's output is cheaper to compute again where it is read than to store: it has one changed input
  // channel or none, and only activations read it.
  bool rematerialised(int value) const { return rematerialised_[value]; }

 private:
  const Plan& plan_;
  std::vector<std::vector<int>> channels_;  // by value
  std::vector<bool> rematerialised_;
};

}  // namespace deepzero
