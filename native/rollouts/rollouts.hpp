// Losses of rollouts, and estimates over them: a network and a simulator act in turn, for many trajectories and many
// perturbed networks at once.
//
// A block of work is sixteen rollouts side by side, each of some trajectory under some perturbed network, on one
// thread. What a lane computes depends on no other lane, so results have the same bits on any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "estimators/estimators.hpp"
#include "network/plan/graph.hpp"
#include "network/plan/plan.hpp"
#include "rollouts/lane_rollout.hpp"
#include "rollouts/simulator.hpp"
#include "runtime/results.hpp"
#include "support/control.hpp"

namespace deepzero {

struct RolloutEstimate : Estimate {
  std::size_t failed = 0;              // losses that are missing, whose entries are 0 or one-sided
  std::vector<std::uint32_t> missing;  // coordinates, by their places, or directions without a slope
};

// Not thread-safe: one computation at a time, on as many threads as its Control says.
class Rollouts {
 public:
  // Throws std::invalid_argument if the simulator cannot be made or does not fit the network.
  Rollouts(Graph graph, const Kernels& kernels, std::shared_ptr<const SimulatorLibrary> library, std::string config);
  Rollouts(const Rollouts&) = delete;
  Rollouts& operator=(const Rollouts&) = delete;

  const Graph& graph() const { return graph_; }
  const Simulator& simulator() const { return simulator_; }

  // The mean loss, and as outputs the values of every step, [trajectory][step][value]. Throws NonFinite(-1), which says
  // which trajectory has no loss.
  Evaluation evaluate(const RolloutProblem& problem, const Control& control);

  // CGE and RGE. A query fails if the loss of one of its trajectories is not finite: it is left out, or with central
  // differences replaced by the unperturbed loss. Throws NonFinite if the unperturbed loss or more than half of the
  // others fail.
  RolloutEstimate coordinatewise(const RolloutProblem& problem, const CoordinatewiseOptions& options,
                                 const Control& control);
  RolloutEstimate randomized(const RolloutProblem& problem, const RandomizedOptions& options, const Control& control);

  // CGE by the naive reference.
  std::vector<double> reference(const RolloutProblem& problem, const CoordinatewiseOptions& options,
                                const Control& control, double* loss);

  void release() { threads_.clear(); }

  // Bytes that a computation allocates, but for what simulators allocate.
  std::size_t footprint(const RolloutProblem& problem, int threads) const;
  std::size_t footprint(const RolloutProblem& problem, const CoordinatewiseOptions& options, int threads) const;
  std::size_t footprint(const RolloutProblem& problem, const RandomizedOptions& options, int threads) const;

 private:
  void reserve(const RolloutProblem& problem, bool withDirections, int threads);
  std::size_t buffers(const RolloutProblem& problem, bool withDirections, int threads) const;
  template <typename TaskAt, typename Take>
  Evaluation evaluateWith(const RolloutProblem& problem, std::size_t count, const Control& control, TaskAt taskAt,
                          Take take);

  Graph graph_;
  Plan plan_;
  const Kernels& kernels_;
  Simulator simulator_;  // to which those of the threads are equal
  Weights weights_;
  std::vector<std::unique_ptr<LaneRollout>> threads_;
};

}  // namespace deepzero
