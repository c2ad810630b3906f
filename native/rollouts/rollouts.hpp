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
#include "rollouts/blocks.hpp"
#include "rollouts/lane_rollout.hpp"
#include "rollouts/simulator.hpp"
#include "runtime/results.hpp"
#include "support/control.hpp"

namespace deepzero {

// Some of an estimate's losses, and the evaluation of some trajectories.
struct RolloutLosses : Evaluation {
  double first = 0;            // the first trajectory's loss
  std::vector<double> values;  // of the range; NaN or infinite where a rollout fails
};

// The control of a computation that reports losses, for a caller who wants queries.
Control reportingQueries(const Control& control, const LossRow& row);

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

  // Both in two parts. The losses of a range of the row, and the evaluation of the first `unperturbed` trajectories
  // alone, as evaluate() makes it. Progress is of losses. Ranges of one row, joined, have the bits of the whole row.
  RolloutLosses losses(const RolloutProblem& problem, const CoordinatewiseOptions& options, Range range,
                       int unperturbed, const Control& control);
  RolloutLosses losses(const RolloutProblem& problem, const RandomizedOptions& options, Range range, int unperturbed,
                       const Control& control);
  // The estimate from all losses, and the evaluation of all trajectories.
  RolloutEstimate estimate(const RolloutProblem& problem, const CoordinatewiseOptions& options,
                           RolloutLosses all) const;
  RolloutEstimate estimate(const RolloutProblem& problem, const RandomizedOptions& options, RolloutLosses all,
                           const Control& control) const;

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
  template <typename TaskAt>
  RolloutLosses rollOut(const RolloutProblem& problem, const LossRow& row, Range range, int unperturbed,
                        const Control& control, TaskAt taskAt);

  Graph graph_;
  Plan plan_;
  const Kernels& kernels_;
  Simulator simulator_;  // to which those of the threads are equal
  Weights weights_;
  std::vector<std::unique_ptr<LaneRollout>> threads_;
};

}  // namespace deepzero
