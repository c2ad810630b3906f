// One thread's sixteen rollouts, side by side.
#pragma once

#include <cstddef>
#include <memory>

#include "network/weights.hpp"
#include "rollouts/lane_pass.hpp"
#include "rollouts/simulator.hpp"
#include "support/aligned.hpp"
#include "support/control.hpp"

namespace deepzero {

enum class RolloutLoss { SquaredError, AbsoluteError, Simulator };

// What is rolled out. It owns nothing: the caller keeps the arrays alive during the computation, which only reads them.
struct RolloutProblem {
  const float* parameters = nullptr;  // of the network
  const float* items = nullptr;       // [count][the simulator's parameters, then the first state]
  const float* targets = nullptr;     // [count][steps][values]; may be null for the simulator's own loss
  int count = 0;                      // trajectories, > 0
  int steps = 1;
  RolloutLoss loss = RolloutLoss::SquaredError;
};

// A lane's trajectory, and its loss when it has been rolled out.
struct LaneTask {
  std::size_t item = 0;
  LaneChange change;
  double scale = 0;         // of the direction
  float* values = nullptr;  // where the values of all steps go, if they are wanted
  double loss = 0;          // NaN if the simulator failed
  // The step in which the simulator failed, or a value was not finite; −1 if there is none.
  int lostIn = -1;
  bool simulatorFailed = false;
};

class LaneRollout {
 public:
  // With a simulator equal to `model`, which under a MemoryCount is not made. `ownSteps`: the steps of rollouts under
  // the simulator's own loss, which needs the values of all; otherwise 0.
  LaneRollout(const Graph& graph, const Plan& plan, const Kernels& kernels, const Simulator& model, int ownSteps,
              bool withDirections);

  int ownSteps() const { return ownSteps_; }
  bool hasDirections() const { return direction_ != nullptr; }
  // The direction of tasks with a scale.
  void setDirection(const float* direction) { direction_->assign(direction); }

  // Rolls out `count` <= kLanes tasks. False if stopped.
  bool run(const RolloutProblem& problem, const Weights& weights, LaneTask* tasks, int count, const Control& control);

 private:
  void start(const RolloutProblem& problem, const LaneTask* tasks, int count);
  void runNetwork(const Weights& weights, const LaneChange* changes, const LaneDirection& direction, int count);
  void recordValues(const RolloutProblem& problem, int step, LaneTask* tasks, int count);
  double lossOf(const RolloutProblem& problem, const LaneTask& task, int lane);

  int ownSteps_;
  std::unique_ptr<Simulator> simulator_;
  LanePass pass_;
  std::unique_ptr<Weights> direction_;
  // By lane, one behind the other; values of one step, and of all where the loss needs them.
  Aligned<double> parameters_, state_, next_, observation_, output_, values_, allValues_;
  double errors_[kLanes];
  bool failed_[kLanes];
};

}  // namespace deepzero
