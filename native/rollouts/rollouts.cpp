#include "rollouts/rollouts.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <utility>

#include "estimators/directions.hpp"
#include "estimators/queries.hpp"
#include "rollouts/reference.hpp"

namespace deepzero {

namespace {

std::string text(const std::int64_t (&map)[3]) {
  return std::to_string(map[0]) + "×" + std::to_string(map[1]) + "×" + std::to_string(map[2]);
}

// `what` is `input` or `output`, `field` the simulator's size.
void checkShape(const Shape& shape, const std::int64_t (&map)[3], const char* what, const char* field,
                const std::string& path) {
  if (shape.channels == map[0] && shape.height == map[1] && shape.width == map[2]) return;
  const std::int64_t found[3] = {shape.channels, shape.height, shape.width};
  throw std::invalid_argument(path + ": expected a network with an " + what + " of " + text(map) +
                              ", the simulator's " + field + ", received " + text(found));
}

int ownSteps(const RolloutProblem& problem) { return problem.loss == RolloutLoss::Simulator ? problem.steps : 0; }

// Why a trajectory has no loss.
std::string reasonOf(const LaneTask& task) {
  const std::string trajectory = "trajectory " + std::to_string(task.item);
  if (task.lostIn < 0) return "the simulator has no finite loss for " + trajectory;
  const std::string step = " in its step " + std::to_string(task.lostIn);
  return task.simulatorFailed ? "the simulator fails for " + trajectory + step
                              : trajectory + " has a value that is not finite" + step;
}

double meanOf(const double* losses, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sum += losses[i];
  return sum / static_cast<double>(count);
}

// The slopes of queries from their losses.
struct Slopes {
  std::vector<double> values;          // 0 where there is none
  std::size_t failed = 0;              // losses that are missing
  std::vector<std::uint32_t> missing;  // queries without a slope

  Slopes(const LossRow& row, const RolloutLosses& all, double mu, bool central)
      : values(row.count / row.perQuery), sides_(row.perQuery / row.trajectories) {
    for (std::size_t query = 0; query < values.size(); ++query) {
      const double* const own = all.values.data() + query * row.perQuery;
      const double plus = meanOf(own, row.trajectories);
      const double minus = central ? meanOf(own + row.trajectories, row.trajectories) : all.loss;
      const bool above = std::isfinite(plus), below = std::isfinite(minus);
      if (!above || !below) {
        if (failed == 0) first_ = query;
        failed += !above + !below;
      }
      if (!above && (!central || !below)) {
        missing.push_back(static_cast<std::uint32_t>(query));
      } else {
        // With central differences a side without a loss is replaced by the unperturbed loss.
        const double distance = central && above && below ? 2 * mu : mu;
        values[query] = ((above ? plus : all.loss) - (below ? minus : all.loss)) / distance;
      }
    }
  }

  // Throws NonFinite, with the name of the first query that failed, if too few losses are there.
  template <typename Name>
  void require(Name nameOf) const {
    const std::size_t queries = sides_ * values.size();
    if (2 * failed <= queries) return;
    throw NonFinite(static_cast<long long>(nameOf(first_)),
                    std::to_string(failed) + " of " + std::to_string(queries) + " queries fail, the first");
  }

 private:
  std::size_t sides_, first_ = 0;
};

}  // namespace

Control reportingQueries(const Control& control, const LossRow& row) {
  Control result = control;
  if (control.progress) {
    result.progress = [progress = control.progress, each = row.perQuery](std::size_t done, std::size_t total) {
      progress(done / each, total / each);
    };
  }
  return result;
}

Rollouts::Rollouts(Graph graph, const Kernels& kernels, std::shared_ptr<const SimulatorLibrary> library,
                   std::string config)
    : graph_(std::move(graph)),
      plan_(graph_),
      kernels_(kernels),
      simulator_(std::move(library), std::move(config)),
      weights_(graph_, plan_) {
  checkShape(graph_.shapes()[0], simulator_.sizes().observation, "input", "observation", simulator_.path());
  checkShape(graph_.output(), simulator_.sizes().output, "output", "output", simulator_.path());
  weights_.widen();
  // Refuses what no pass can run.
  const MemoryCount count;
  const LanePass pass(graph_, plan_, kernels_, false);
}

void Rollouts::reserve(const RolloutProblem& problem, bool withDirections, int threads) {
  const int steps = ownSteps(problem);
  const auto fits = [&](const std::unique_ptr<LaneRollout>& thread) {
    return thread->ownSteps() == steps && (thread->hasDirections() || !withDirections);
  };
  if (!std::all_of(threads_.begin(), threads_.end(), fits)) threads_.clear();
  while (static_cast<int>(threads_.size()) < threads) {
    threads_.push_back(std::make_unique<LaneRollout>(graph_, plan_, kernels_, simulator_, steps, withDirections));
  }
  weights_.assign(problem.parameters);
}

// The tasks of `taskAt(thread, place)` for the range's places in the row, behind the unperturbed ones.
template <typename TaskAt>
RolloutLosses Rollouts::rollOut(const RolloutProblem& problem, const LossRow& row, Range range, int unperturbed,
                                const Control& control, TaskAt taskAt) {
  const std::size_t values = checkedTimes(problem.steps, simulator_.values());
  RolloutLosses result;
  result.outputs.resize(checkedTimes(unperturbed, values));
  result.values.resize(range.count);
  std::vector<LaneTask> own(unperturbed);
  for (std::size_t i = 0; i < own.size(); ++i) {
    own[i].item = i;
    own[i].values = result.outputs.data() + i * values;
  }
  const Blocks blocks(row, range, own.size());
  Control counting = control;
  counting.progress = nullptr;
  if (control.progress && range.count > 0) {
    counting.progress = [&](std::size_t done, std::size_t) { control.progress(blocks.lossesOf(done), range.count); };
  }
  const std::size_t done = runQueries(blocks.count(), counting, [&](int thread, std::size_t at) {
    const Range block = blocks.at(at);
    const int number = static_cast<int>(block.count);
    LaneTask tasks[kLanes];
    for (int lane = 0; lane < number; ++lane) {
      const std::size_t i = block.first + lane;
      tasks[lane] = i < own.size() ? own[i] : taskAt(thread, range.first + i - own.size());
    }
    if (!threads_[thread]->run(problem, weights_, tasks, number, control)) return false;
    bool finite = true;
    for (int lane = 0; lane < number; ++lane) {
      const std::size_t i = block.first + lane;
      if (i >= own.size()) {
        result.values[i - own.size()] = tasks[lane].loss;
      } else {
        own[i] = tasks[lane];
        finite = finite && std::isfinite(tasks[lane].loss);
      }
    }
    return finite;
  });
  for (const LaneTask& task : own) {
    if (!std::isfinite(task.loss)) throw NonFinite(-1, reasonOf(task));
    result.loss += task.loss;
  }
  result.loss /= unperturbed;
  if (done < blocks.count() || !std::isfinite(result.loss)) throw NonFinite(-1);
  result.first = own[0].loss;
  return result;
}

Evaluation Rollouts::evaluate(const RolloutProblem& problem, const Control& control) {
  return losses(problem, CoordinatewiseOptions(), {}, problem.count, control);
}

RolloutLosses Rollouts::losses(const RolloutProblem& problem, const CoordinatewiseOptions& options, Range range,
                               int unperturbed, const Control& control) {
  const LossRow row = rowOf(options, problem.count);
  reserve(problem, false, control.threads);
  return rollOut(problem, row, range, unperturbed, control, [&](int, std::size_t place) {
    LaneTask task;
    task.item = place % row.trajectories;
    const bool above = place % row.perQuery < row.trajectories;
    task.change = {options.coordinates[place / row.perQuery], above ? options.mu : -options.mu};
    return task;
  });
}

RolloutLosses Rollouts::losses(const RolloutProblem& problem, const RandomizedOptions& options, Range range,
                               int unperturbed, const Control& control) {
  const LossRow row = rowOf(options, problem.count);
  reserve(problem, true, control.threads);
  const std::size_t d = graph_.parameterCount();
  const Directions directions(graph_, options);
  constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  struct Drawn {
    std::size_t query = kNone;
    std::vector<double> direction;
    std::vector<float> rounded;
  };
  std::vector<Drawn> drawn(control.threads, {kNone, std::vector<double>(d), std::vector<float>(d)});
  return rollOut(problem, row, range, unperturbed, control, [&](int thread, std::size_t place) {
    Drawn& own = drawn[thread];
    // The queries of a block share their direction.
    if (own.query != place / row.perQuery) {
      own.query = place / row.perQuery;
      directions.draw(own.query, 0, d, own.direction.data());
      const std::vector<double> factors = directions.factors(own.direction.data());
      for (std::size_t p = 0; p < factors.size(); ++p) {
        const Parameter& tensor = graph_.parameters()[p];
        for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
          own.rounded[i] = static_cast<float>(factors[p] * own.direction[i]);
        }
      }
      threads_[thread]->setDirection(own.rounded.data());
    }
    LaneTask task;
    task.item = place % row.trajectories;
    task.scale = place % row.perQuery < row.trajectories ? options.mu : -options.mu;
    return task;
  });
}

RolloutEstimate Rollouts::estimate(const RolloutProblem& problem, const CoordinatewiseOptions& options,
                                   RolloutLosses all) const {
  const Slopes slopes(rowOf(options, problem.count), all, options.mu, options.central);
  slopes.require([&](std::size_t query) { return options.coordinates[query]; });
  RolloutEstimate result;
  static_cast<Evaluation&>(result) = std::move(all);
  result.values = slopes.values;
  result.failed = slopes.failed;
  result.missing = slopes.missing;
  result.queries = 1 + options.count * (options.central ? 2 : 1);
  return result;
}

RolloutEstimate Rollouts::estimate(const RolloutProblem& problem, const RandomizedOptions& options, RolloutLosses all,
                                   const Control& control) const {
  const Slopes slopes(rowOf(options, problem.count), all, options.mu, options.central);
  slopes.require([](std::size_t query) { return query; });
  RolloutEstimate result;
  static_cast<Evaluation&>(result) = std::move(all);
  result.values = combineDirections(graph_, options, slopes.values.data(), control);
  // The mean of those directions that have a slope.
  const double share =
      static_cast<double>(options.queries) / static_cast<double>(options.queries - slopes.missing.size());
  for (double& value : result.values) value *= share;
  result.failed = slopes.failed;
  result.missing = slopes.missing;
  result.queries = 1 + options.queries * (options.central ? 2 : 1);
  return result;
}

RolloutEstimate Rollouts::coordinatewise(const RolloutProblem& problem, const CoordinatewiseOptions& options,
                                         const Control& control) {
  const LossRow row = rowOf(options, problem.count);
  return estimate(problem, options,
                  losses(problem, options, {0, row.count}, problem.count, reportingQueries(control, row)));
}

RolloutEstimate Rollouts::randomized(const RolloutProblem& problem, const RandomizedOptions& options,
                                     const Control& control) {
  const LossRow row = rowOf(options, problem.count);
  RolloutLosses all = losses(problem, options, {0, row.count}, problem.count, reportingQueries(control, row));
  return estimate(problem, options, std::move(all), control);
}

std::vector<double> Rollouts::reference(const RolloutProblem& problem, const CoordinatewiseOptions& options,
                                        const Control& control, double* loss) {
  const std::unique_ptr<Simulator> simulator = simulator_.clone();
  return referenceRolloutCoordinatewise(graph_, *simulator, problem, options.coordinates, options.count, options.mu,
                                        options.central, control, loss);
}

std::size_t Rollouts::footprint(const RolloutProblem& problem, int threads) const {
  return buffers(problem, false, threads) +
         problem.count * (checkedTimes(problem.steps, simulator_.values()) * sizeof(float) + sizeof(LaneTask));
}

std::size_t Rollouts::footprint(const RolloutProblem& problem, const CoordinatewiseOptions& options,
                                int threads) const {
  const std::size_t sides = options.central ? 2 : 1;
  return footprint(problem, threads) + checkedTimes(options.count, (1 + sides * problem.count) * sizeof(double));
}

std::size_t Rollouts::footprint(const RolloutProblem& problem, const RandomizedOptions& options, int threads) const {
  const std::size_t sides = options.central ? 2 : 1, d = graph_.parameterCount();
  return footprint(problem, threads) - buffers(problem, false, threads) + buffers(problem, true, threads) +
         threads * d * (sizeof(double) + sizeof(float)) + combineFootprint(graph_, options, threads) +
         checkedTimes(options.queries, (1 + sides * problem.count) * sizeof(double));
}

// Bytes of the threads' buffers.
std::size_t Rollouts::buffers(const RolloutProblem& problem, bool withDirections, int threads) const {
  const MemoryCount count;
  const LaneRollout one(graph_, plan_, kernels_, simulator_, ownSteps(problem), withDirections);
  return count.bytes() * threads;
}

}  // namespace deepzero
