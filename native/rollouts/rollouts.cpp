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

// The slopes of queries from their losses, [query][side][trajectory].
struct Slopes {
  std::vector<double> values;          // 0 where there is none
  std::size_t failed = 0;              // losses that are missing
  std::vector<std::uint32_t> missing;  // queries without a slope

  Slopes(const std::vector<double>& losses, std::size_t queries, std::size_t count, double base, double mu,
         bool central)
      : values(queries), sides_(central ? 2 : 1) {
    for (std::size_t query = 0; query < queries; ++query) {
      const double* const own = losses.data() + query * sides_ * count;
      const double plus = meanOf(own, count), minus = central ? meanOf(own + count, count) : base;
      const bool above = std::isfinite(plus), below = std::isfinite(minus);
      if (!above || !below) {
        if (failed == 0) first_ = query;
        failed += !above + !below;
      }
      if (!above && (!central || !below)) {
        missing.push_back(static_cast<std::uint32_t>(query));
      } else {
        // With central differences a side without a loss is replaced by the base.
        const double distance = central && above && below ? 2 * mu : mu;
        values[query] = ((above ? plus : base) - (below ? minus : base)) / distance;
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

Rollouts::Rollouts(Graph graph, const Kernels& kernels, std::shared_ptr<const SimulatorLibrary> library,
                   std::string config)
    : graph_(std::move(graph)),
      plan_(graph_),
      kernels_(kernels),
      simulator_(std::move(library), std::move(config)),
      weights_(graph_, plan_) {
  checkShape(graph_.shapes()[0], simulator_.sizes().observation, "input", "observation", simulator_.path());
  checkShape(graph_.output(), simulator_.sizes().output, "output", "output", simulator_.path());
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

Evaluation Rollouts::evaluate(const RolloutProblem& problem, const Control& control) {
  return evaluateWith(
      problem, 0, control, [](std::size_t) { return LaneTask(); }, [](std::size_t, double) {});
}

// The unperturbed evaluation, and `count` tasks more. They share blocks, so that few trajectories leave no lanes idle.
template <typename TaskAt, typename Take>
Evaluation Rollouts::evaluateWith(const RolloutProblem& problem, std::size_t count, const Control& control,
                                  TaskAt taskAt, Take take) {
  reserve(problem, false, control.threads);
  const std::size_t values = checkedTimes(problem.steps, simulator_.values());
  Evaluation result;
  result.outputs.resize(checkedTimes(problem.count, values));
  std::vector<LaneTask> own(problem.count);
  for (std::size_t i = 0; i < own.size(); ++i) {
    own[i].item = i;
    own[i].values = result.outputs.data() + i * values;
  }
  const std::size_t total = own.size() + count, blocks = (total + kLanes - 1) / kLanes;
  const std::size_t done = runQueries(blocks, control, [&](int thread, std::size_t block) {
    const std::size_t first = block * kLanes;
    const int number = static_cast<int>(std::min<std::size_t>(kLanes, total - first));
    LaneTask tasks[kLanes];
    for (int lane = 0; lane < number; ++lane) {
      const std::size_t i = first + lane;
      tasks[lane] = i < own.size() ? own[i] : taskAt(i - own.size());
    }
    if (!threads_[thread]->run(problem, weights_, tasks, number, control)) return false;
    bool finite = true;
    for (int lane = 0; lane < number; ++lane) {
      const std::size_t i = first + lane;
      if (i >= own.size()) {
        take(i - own.size(), tasks[lane].loss);
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
  result.loss /= problem.count;
  if (done < blocks || !std::isfinite(result.loss)) throw NonFinite(-1);
  return result;
}

RolloutEstimate Rollouts::coordinatewise(const RolloutProblem& problem, const CoordinatewiseOptions& options,
                                         const Control& control) {
  const std::size_t count = problem.count, sides = options.central ? 2 : 1;
  std::vector<double> losses(checkedTimes(options.count, sides * count));
  // Progress is of coordinates, whose tasks lie one behind the other in the blocks.
  Control counting = control;
  if (control.progress) {
    counting.progress = [&](std::size_t blocks, std::size_t) {
      const std::size_t tasks = std::max(blocks * kLanes, count) - count;
      control.progress(std::min(tasks / (sides * count), options.count), options.count);
    };
  }
  const auto taskAt = [&](std::size_t i) {
    LaneTask task;
    task.item = i % count;
    task.change = {options.coordinates[i / count / sides], i / count % sides == 0 ? options.mu : -options.mu};
    return task;
  };
  RolloutEstimate result;
  static_cast<Evaluation&>(result) =
      evaluateWith(problem, losses.size(), counting, taskAt, [&](std::size_t i, double loss) { losses[i] = loss; });
  const Slopes slopes(losses, options.count, count, result.loss, options.mu, options.central);
  slopes.require([&](std::size_t query) { return options.coordinates[query]; });
  result.values = slopes.values;
  result.failed = slopes.failed;
  result.missing = slopes.missing;
  result.queries = 1 + options.count * sides;
  return result;
}

RolloutEstimate Rollouts::randomized(const RolloutProblem& problem, const RandomizedOptions& options,
                                     const Control& control) {
  const std::size_t d = graph_.parameterCount(), count = problem.count, sides = options.central ? 2 : 1;
  const Directions directions(graph_, options);
  std::vector<double> losses(checkedTimes(options.queries, sides * count));
  // Before the unperturbed evaluation, for which threads without directions would be made.
  reserve(problem, true, control.threads);
  Control quiet = control;
  quiet.progress = nullptr;
  RolloutEstimate result;
  static_cast<Evaluation&>(result) = evaluate(problem, quiet);
  std::vector<std::vector<double>> drawn(control.threads, std::vector<double>(d));
  std::vector<std::vector<float>> rounded(control.threads, std::vector<float>(d));
  runQueries(options.queries, control, [&](int thread, std::size_t query) {
    LaneRollout& rollout = *threads_[thread];
    directions.draw(query, 0, d, drawn[thread].data());
    const std::vector<double> factors = directions.factors(drawn[thread].data());
    for (std::size_t p = 0; p < factors.size(); ++p) {
      const Parameter& tensor = graph_.parameters()[p];
      for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
        rounded[thread][i] = static_cast<float>(factors[p] * drawn[thread][i]);
      }
    }
    rollout.setDirection(rounded[thread].data());
    double* const own = losses.data() + query * sides * count;
    for (std::size_t first = 0; first < sides * count; first += kLanes) {
      LaneTask tasks[kLanes];
      const int number = static_cast<int>(std::min<std::size_t>(kLanes, sides * count - first));
      for (int lane = 0; lane < number; ++lane) {
        tasks[lane].item = (first + lane) % count;
        tasks[lane].scale = first + lane < count ? options.mu : -options.mu;
      }
      if (!rollout.run(problem, weights_, tasks, number, control)) return false;
      for (int lane = 0; lane < number; ++lane) own[first + lane] = tasks[lane].loss;
    }
    return true;
  });
  Slopes slopes(losses, options.queries, count, result.loss, options.mu, options.central);
  slopes.require([](std::size_t query) { return query; });
  result.values = combineDirections(graph_, options, slopes.values.data(), control);
  // The mean of those directions that have a slope.
  const double share =
      static_cast<double>(options.queries) / static_cast<double>(options.queries - slopes.missing.size());
  for (double& value : result.values) value *= share;
  result.failed = slopes.failed;
  result.missing = slopes.missing;
  result.queries = 1 + options.queries * sides;
  return result;
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
