#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "estimators/estimators.hpp"
#include "estimators/queries.hpp"
#include "estimators/query_work.hpp"

namespace deepzero {

int cutPoint(const Engine& engine, std::size_t coordinate, Reuse reuse) {
  if (reuse == Reuse::None) return 1;
  const Graph& graph = engine.graph();
  const int layer = engine.plan().segmentOf(graph.parameters()[graph.parameterAt(coordinate)].operation);
  return reuse == Reuse::Block ? engine.plan().blockOf(layer) : layer;
}

namespace {

QueryKind queryKind(Reuse reuse) { return reuse == Reuse::Incremental ? QueryKind::Changes : QueryKind::Values; }

// (the tensor's place in the order and a coordinate of it, the coordinate's position in the options)
using QueryKey = std::pair<std::uint64_t, std::size_t>;

}  // namespace

std::vector<std::size_t> queryOrder(const Engine& engine, const CoordinatewiseOptions& options) {
  const Graph& graph = engine.graph();
  const int tensors = static_cast<int>(graph.parameters().size());
  QueryWork work(engine);
  std::vector<double> cost;
  for (const Parameter& tensor : graph.parameters()) cost.push_back(work.of(tensor.offset, options.reuse).cost());
  std::vector<int> byCost(tensors);
  std::iota(byCost.begin(), byCost.end(), 0);
  std::stable_sort(byCost.begin(), byCost.end(), [&](int a, int b) { return cost[a] > cost[b]; });
  std::vector<std::uint64_t> place(tensors);
  for (int i = 0; i < tensors; ++i) place[byCost[i]] = i;

  std::vector<QueryKey> keys;
  keys.reserve(options.count);
  for (std::size_t i = 0; i < options.count; ++i) {
    const std::uint32_t coordinate = options.coordinates[i];
    keys.emplace_back(place[graph.parameterAt(coordinate)] << 32 | coordinate, i);
  }
  std::sort(keys.begin(), keys.end());
  std::vector<std::size_t> order;
  order.reserve(options.count);
  for (const auto& [key, position] : keys) order.push_back(position);
  return order;
}

namespace {

// The difference quotient at a coordinate from perturbed losses.
double slopeOfValues(Engine& engine, int thread, const Problem& problem, const CoordinatewiseOptions& options,
                     std::size_t coordinate, double baseLoss, const Control& control) {
  const int from = cutPoint(engine, coordinate, options.reuse);
  Weights& weights = engine.weights(thread);
  const float value = problem.parameters[coordinate];
  const auto lossAt = [&](float perturbed) {
    weights.set(coordinate, perturbed);
    return engine.lossFrom(thread, from, problem, control);
  };
  // The difference is divided by the step that float32 makes, not by μ.
  const float above = static_cast<float>(value + options.mu), below = static_cast<float>(value - options.mu);
  const double plus = lossAt(above);
  const double minus = options.central ? lossAt(below) : baseLoss;
  weights.set(coordinate, value);
  return (plus - minus) / (static_cast<double>(above) - (options.central ? below : value));
}

// The same from changes of the loss, which make exactly the step given.
double slopeOfChanges(Engine& engine, int thread, const Problem& problem, const CoordinatewiseOptions& options,
                      std::size_t coordinate, const Control& control) {
  const float step = static_cast<float>(options.mu);
  const double plus = engine.lossChange(thread, coordinate, step, problem, control);
  const double minus = options.central ? engine.lossChange(thread, coordinate, -step, problem, control) : 0;
  return (plus - minus) / (options.central ? 2.0 * step : step);
}

}  // namespace

std::size_t footprint(const Engine& engine, int count, const CoordinatewiseOptions& options, int threads) {
  return engine.footprint(queryKind(options.reuse), count, threads) +
         options.count * (sizeof(double) + sizeof(std::size_t) + sizeof(QueryKey));
}

Estimate coordinatewise(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                        const Control& control) {
  Estimate estimate;
  const bool incremental = options.reuse == Reuse::Incremental;
  estimate.values.resize(options.count);
  const std::vector<std::size_t> order = queryOrder(engine, options);
  static_cast<Evaluation&>(estimate) = engine.begin(problem, control, queryKind(options.reuse));

  const std::size_t failed = runQueries(options.count, control, [&](int thread, std::size_t i) {
    const std::size_t position = order[i], coordinate = options.coordinates[position];
    const double slope = incremental
                             ? slopeOfChanges(engine, thread, problem, options, coordinate, control)
                             : slopeOfValues(engine, thread, problem, options, coordinate, estimate.loss, control);
    estimate.values[position] = slope;
    return std::isfinite(slope);
  });

  if (failed != options.count) throw NonFinite(static_cast<long long>(options.coordinates[order[failed]]));
  estimate.queries = 1 + options.count * (options.central ? 2 : 1);
  return estimate;
}

}  // namespace deepzero
