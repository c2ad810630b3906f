#include "rollouts/lane_rollout.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace deepzero {

namespace {

// Calls body(place in the map, index into a lane's numbers, width) for blocks of neighbouring pixels. The numbers of
// different lanes may be a multiple of a page apart, where a cache holds few of them at once: so a block takes whole
// cache lines from each.
template <typename Body>
void forBlocks(const Map& map, const Body& body) {
  constexpr int kBlock = 16;
  std::size_t index = 0;
  for (int c = 0; c < map.channels; ++c) {
    for (int y = 0; y < map.height; ++y) {
      for (int x = 0; x < map.width; x += kBlock) {
        const int width = std::min(kBlock, map.width - x);
        body(map.at(c, y, x), index, width);
        index += width;
      }
    }
  }
}

}  // namespace

LaneRollout::LaneRollout(const Graph& graph, const Plan& plan, const Kernels& kernels, const Simulator& model,
                         int ownSteps, bool withDirections)
    : ownSteps_(ownSteps),
      simulator_(MemoryCount::current() == nullptr ? model.clone() : nullptr),
      pass_(graph, plan, kernels, withDirections),
      direction_(withDirections ? std::make_unique<Weights>(graph, plan) : nullptr),
      parameters_(model.parameters() * kLanes),
      state_(model.state() * kLanes),
      next_(model.state() * kLanes),
      observation_(model.observation() * kLanes),
      output_(model.output() * kLanes),
      values_(model.values() * kLanes),
      allValues_(checkedTimes(model.values() * kLanes, ownSteps)) {
  if (direction_) direction_->widen();
}

bool LaneRollout::run(const RolloutProblem& problem, const Weights& weights, LaneTask* tasks, int count,
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
    runNetwork(weights, changes, direction, count);
    if (corrects) {
      simulator_->correct(count, parameters_.data(), state_.data(), output_.data(), next_.data(), failed_);
    } else {
      simulator_->step(count, parameters_.data(), state_.data(), output_.data(), next_.data(), failed_);
    }
    std::swap(state_, next_);
    simulator_->measure(count, parameters_.data(), state_.data(), values_.data(), failed_);
    recordValues(problem, step, tasks, count);
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
void LaneRollout::runNetwork(const Weights& weights, const LaneChange* changes, const LaneDirection& direction,
                             int count) {
  const std::size_t observation = simulator_->observation(), output = simulator_->output();
  const Map& in = pass_.inputMap();
  forBlocks(in, [&](std::ptrdiff_t at, std::size_t from, int width) {
    for (int lane = 0; lane < count; ++lane) {
      double* const to = pass_.input() + at + lane;
      const double* const source = observation_.data() + lane * observation + from;
      for (int x = 0; x < width; ++x) to[x * kLanes] = source[x];
    }
  });
  const double* const result = pass_.run(weights, changes, direction);
  forBlocks(pass_.outputMap(), [&](std::ptrdiff_t at, std::size_t to, int width) {
    for (int lane = 0; lane < count; ++lane) {
      const double* const source = result + at + lane;
      double* const target = output_.data() + lane * output + to;
      for (int x = 0; x < width; ++x) target[x] = source[x * kLanes];
    }
  });
}

// Hands a step's values on, and adds their errors.
void LaneRollout::recordValues(const RolloutProblem& problem, int step, LaneTask* tasks, int count) {
  const std::size_t width = simulator_->values();
  for (int lane = 0; lane < count; ++lane) {
    const double* const found = values_.data() + lane * width;
    const std::size_t place = (tasks[lane].item * problem.steps + step) * width;
    if (tasks[lane].values != nullptr) {
      std::transform(found, found + width, tasks[lane].values + step * width, [](double v) { return float(v); });
    }
    double sum = 0;
    if (problem.loss == RolloutLoss::Simulator) {
      std::copy_n(found, width, allValues_.data() + (static_cast<std::size_t>(lane) * ownSteps_ + step) * width);
    } else {
      for (std::size_t i = 0; i < width; ++i) {
        // Without targets the error is that to the value itself: 0, or NaN.
        const double error = found[i] - (problem.targets == nullptr ? found[i] : problem.targets[place + i]);
        sum += problem.loss == RolloutLoss::SquaredError ? error * error : std::abs(error);
      }
    }
    errors_[lane] += sum;
    if (tasks[lane].lostIn < 0 && (failed_[lane] || !std::isfinite(sum))) {
      tasks[lane].lostIn = step;
      tasks[lane].simulatorFailed = failed_[lane];
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
