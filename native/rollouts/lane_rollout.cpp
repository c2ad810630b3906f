#include "rollouts/lane_rollout.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace deepzero {

LaneRollout::LaneRollout(const Graph& graph, const Plan& plan, const Kernels& kernels, const Simulator& model,
                         int ownSteps, bool withDirections)
    : ownSteps_(ownSteps),
      simulator_(MemoryCount::current() == nullptr ? model.another() : nullptr),
      pass_(graph, plan, kernels, withDirections),
      direction_(withDirections ? std::make_unique<Weights>(graph, plan) : nullptr),
      parameters_(model.parameters() * kLanes),
      state_(model.state() * kLanes),
      next_(model.state() * kLanes),
      observation_(model.observation() * kLanes),
      output_(model.output() * kLanes),
      values_(model.values() * kLanes),
      allValues_(checkedTimes(model.values() * kLanes, ownSteps)) {}

bool LaneRollout::run(const RolloutProblem& problem, const Weights& weights, LaneTask* tasks, int count, float* values,
                      const Control& control) {
  start(problem, tasks, count);
  LaneChange changes[kLanes];
  LaneDirection direction;
  for (int lane = 0; lane < count; ++lane) {
    changes[lane] = tasks[lane].change;
    direction.scales[lane] = tasks[lane].scale;
    if (tasks[lane].scale != 0) direction.direction = direction_.get();
  }
  const bool corrects = simulator_->corrects();
  for (int step = 0; step < problem.steps; ++step) {
    if (control.stop()) return false;
    if (corrects) {
      simulator_->step(count, parameters_.data(), state_.data(), nullptr, next_.data(), failed_);
      std::swap(state_, next_);
    }
    simulator_->observe(count, parameters_.data(), state_.data(), observation_.data(), failed_);
    act(weights, changes, direction, count);
    if (corrects) {
      simulator_->correct(count, parameters_.data(), state_.data(), output_.data(), next_.data(), failed_);
    } else {
      simulator_->step(count, parameters_.data(), state_.data(), output_.data(), next_.data(), failed_);
    }
    std::swap(state_, next_);
    simulator_->measure(count, parameters_.data(), state_.data(), values_.data(), failed_);
    keep(problem, step, tasks, count, values);
  }
  for (int lane = 0; lane < count; ++lane) tasks[lane].loss = lossOf(problem, tasks[lane], lane);
  return true;
}

void LaneRollout::start(const RolloutProblem& problem, const LaneTask* tasks, int count) {
  const std::size_t parameters = simulator_->parameters(), state = simulator_->state();
  for (int lane = 0; lane < count; ++lane) {
    const float* item = problem.items + tasks[lane].item * (parameters + state);
    std::copy_n(item, parameters, parameters_.data() + lane * parameters);
    std::copy_n(item + parameters, state, state_.data() + lane * state);
    errors_[lane] = 0;
    failed_[lane] = false;
  }
}

// Runs the network from observations to outputs.
void LaneRollout::act(const Weights& weights, const LaneChange* changes, const LaneDirection& direction, int count) {
  const Map& in = pass_.inputMap();
  for (int c = 0; c < in.channels; ++c) {
    for (int y = 0; y < in.height; ++y) {
      double* const row = pass_.input() + in.at(c, y, 0);
      const double* from = observation_.data() + (static_cast<std::size_t>(c) * in.height + y) * in.width;
      for (int x = 0; x < in.width; ++x) {
        for (int lane = 0; lane < count; ++lane) row[x * kLanes + lane] = from[lane * simulator_->observation() + x];
      }
    }
  }
  const double* const result = pass_.run(weights, changes, direction);
  const Map& out = pass_.outputMap();
  for (int c = 0; c < out.channels; ++c) {
    for (int y = 0; y < out.height; ++y) {
      const double* const row = result + out.at(c, y, 0);
      double* to = output_.data() + (static_cast<std::size_t>(c) * out.height + y) * out.width;
      for (int x = 0; x < out.width; ++x) {
        for (int lane = 0; lane < count; ++lane) to[lane * simulator_->output() + x] = row[x * kLanes + lane];
      }
    }
  }
}

// Takes a step's values where they are needed.
void LaneRollout::keep(const RolloutProblem& problem, int step, const LaneTask* tasks, int count, float* values) {
  const std::size_t width = simulator_->values();
  for (int lane = 0; lane < count; ++lane) {
    const double* const found = values_.data() + lane * width;
    const std::size_t place = (tasks[lane].item * problem.steps + step) * width;
    if (values != nullptr) std::transform(found, found + width, values + place, [](double v) { return float(v); });
    if (problem.loss == RolloutLoss::Simulator) {
      std::copy_n(found, width, allValues_.data() + (static_cast<std::size_t>(lane) * ownSteps_ + step) * width);
    } else if (problem.targets != nullptr) {
      const float* const targets = problem.targets + place;
      double sum = 0;
      for (std::size_t i = 0; i < width; ++i) {
        const double error = found[i] - targets[i];
        sum += problem.loss == RolloutLoss::SquaredError ? error * error : std::abs(error);
      }
      errors_[lane] += sum;
    }
  }
}

double LaneRollout::lossOf(const RolloutProblem& problem, const LaneTask& task, int lane) {
  if (failed_[lane]) return std::numeric_limits<double>::quiet_NaN();
  const std::size_t values = simulator_->values() * problem.steps;
  if (problem.loss != RolloutLoss::Simulator) return errors_[lane] / static_cast<double>(values);
  return simulator_->loss(problem.steps, parameters_.data() + lane * simulator_->parameters(),
                          allValues_.data() + static_cast<std::size_t>(lane) * ownSteps_ * simulator_->values(),
                          problem.targets == nullptr ? nullptr : problem.targets + task.item * values);
}

}  // namespace deepzero
