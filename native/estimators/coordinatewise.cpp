#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "estimators/estimators.hpp"
#include "estimators/queries.hpp"

namespace deepzero {

namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// Positions of the coordinates, those with the longest way to the loss first, so that no thread is left with a long
// query at the end; neighbours in a tensor follow each other.
std::vector<std::size_t> queryOrder(const CoordinatewiseOptions& options) {
  std::vector<std::size_t> order(options.count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return options.coordinates[a] < options.coordinates[b];
  });
  return order;
}

}  // namespace

int cutPoint(const Engine& engine, std::size_t coordinate) {
  const Graph& graph = engine.graph();
  return engine.plan().segmentOf(graph.parameters()[graph.parameterAt(coordinate)].operation);
}

Estimate coordinatewise(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                        const Control& control) {
  Estimate estimate;
  static_cast<Evaluation&>(estimate) = engine.begin(problem, control);
  estimate.values.resize(options.count);
  const std::vector<std::size_t> order = queryOrder(options);
  std::atomic<std::size_t> failure{kNone};

  runQueries(options.count, control, [&](int thread, std::size_t i) {
    const std::size_t position = order[i], coordinate = options.coordinates[position];
    const int from = options.reuse == Reuse::None ? 1 : cutPoint(engine, coordinate);
    Weights& weights = engine.weights(thread);
    const float value = problem.parameters[coordinate];
    const auto lossAt = [&](float perturbed) {
      weights.set(coordinate, perturbed);
      return engine.query(thread, from, problem, control);
    };
    // The step that float32 really takes, not μ, is what the difference is divided by.
    const float above = static_cast<float>(value + options.mu), below = static_cast<float>(value - options.mu);
    const double plus = lossAt(above);
    const double minus = options.central ? lossAt(below) : estimate.loss;
    const double step = static_cast<double>(above) - (options.central ? below : value);
    weights.set(coordinate, value);
    estimate.values[position] = (plus - minus) / step;
    if (std::isfinite(plus) && std::isfinite(minus)) return true;
    failure.store(coordinate);
    return false;
  });

  if (failure.load() != kNone) throw NonFinite(static_cast<long long>(failure.load()));
  estimate.queries = 1 + options.count * (options.central ? 2 : 1);
  return estimate;
}

}  // namespace deepzero
