// Rollouts of small simulators with everything that they need, for tests of whatever rolls them out.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "networks.hpp"
#include "rollouts/rollouts.hpp"

namespace deepzero::test {

inline constexpr int kEntries = 9;

inline std::shared_ptr<const SimulatorLibrary> simulators(const std::string& name) {
  return std::make_shared<const SimulatorLibrary>(std::string(SIMULATORS) + "/" + name + ".so");
}

// Two convolutions of a row, the second of 1×1 windows.
inline Graph rowNetwork() {
  return Builder({1, 1, kEntries}).convolution(5, 3, 3, 1, 1, true).relu().convolution(1, 1, 1, 1, 0, true).graph();
}

// Numbers that look random, in (−1, 1).
inline double number(std::size_t i) { return std::sin(12.9898 * (static_cast<double>(i) + 1)); }

// Trajectories with all their arrays.
struct Trajectories {
  std::vector<float> parameters, items, targets;
  RolloutProblem problem;

  Trajectories(const Graph& graph, int count, int steps, RolloutLoss loss, int entries = kEntries) {
    for (std::size_t i = 0; i < graph.parameterCount(); ++i) parameters.push_back(static_cast<float>(0.4 * number(i)));
    for (int item = 0; item < count; ++item) {
      items.push_back(static_cast<float>(0.8 + 0.1 * number(item)));
      for (int i = 0; i < entries; ++i) items.push_back(static_cast<float>(number(31 * item + i)));
    }
    for (int i = 0; i < count * steps * entries; ++i) targets.push_back(static_cast<float>(number(7 * i)));
    problem.parameters = parameters.data();
    problem.items = items.data();
    problem.targets = targets.data();
    problem.count = count;
    problem.steps = steps;
    problem.loss = loss;
  }
};

inline std::vector<std::uint32_t> every(const Graph& graph, std::size_t stride = 1) {
  std::vector<std::uint32_t> result;
  for (std::size_t i = 0; i < graph.parameterCount(); i += stride) result.push_back(static_cast<std::uint32_t>(i));
  return result;
}

inline CoordinatewiseOptions along(const std::vector<std::uint32_t>& coordinates, double mu, bool central) {
  CoordinatewiseOptions options;
  options.mu = mu;
  options.central = central;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  return options;
}

}  // namespace deepzero::test
