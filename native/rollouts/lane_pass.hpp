// The forward pass of sixteen images in double precision, each lane with a network that differs from the others'.
#pragma once

#include <cstddef>
#include <vector>

#include "network/arena.hpp"
#include "network/plan/plan.hpp"
#include "network/weights.hpp"

namespace deepzero {

// One parameter of a lane's network, by its flat index, moved by `step`.
struct LaneChange {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t parameter = kNone;
  double step = 0;
};

// All parameters of a lane's network moved along a direction that the lanes share: lane l by scales[l]·direction, where
// a scale of 0 leaves every bit.
struct LaneDirection {
  const Weights* direction = nullptr;  // null for none
  double scales[kLanes] = {};
};

// The lanes share weights, and each lane's change is added to the sums of the layer that it changes. So queries of few
// images fill all lanes, and a step that float32 could not add to a weight is exact to double precision.
class LanePass {
 public:
  // Throws std::invalid_argument if the network has batch norms, whose statistics lanes would share.
  LanePass(const Graph& graph, const Plan& plan, const Kernels& kernels, bool withDirections);

  // Where the input goes: [channel][row][column][lane] as inputMap() says.
  double* input() { return values_.at(0, 0); }
  const Map& inputMap() const { return plan_.map(0); }
  const Map& outputMap() const { return plan_.map(plan_.outputValue()); }

  // The output of every lane; `changes` is [kLanes].
  const double* run(const Weights& weights, const LaneChange* changes, const LaneDirection& direction);

 private:
  void addChange(const Step& step, const double* in, double* out, int lane, const LaneChange& change) const;
  void addDirection(const Step& step, const double* in, double* out, const LaneDirection& direction);

  const Graph& graph_;
  const Plan& plan_;
  const Kernels& kernels_;
  ArenaOf<double> values_, locals_;
  Aligned<double> sums_;  // of a layer along the direction
  std::vector<AffineOf<double>> identity_;
};

}  // namespace deepzero
