#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "estimators/estimators.hpp"
#include "estimators/perturbed_outputs.hpp"
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
  const std::vector<double> cost = tensorCosts(engine, options.reuse);
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

// What queries do to a coordinate: the values that it takes, or the changes that it makes.
struct Moves {
  float plus, minus;
  double distance;
};

// The difference is divided by the step that float32 makes, not by μ.
Moves movesOf(const CoordinatewiseOptions& options, float value) {
  if (options.reuse == Reuse::Incremental) {
    const float step = static_cast<float>(options.mu);
    return {step, -step, options.central ? 2.0 * step : step};
  }
  const float above = static_cast<float>(value + options.mu), below = static_cast<float>(value - options.mu);
  return {above, below, static_cast<double>(above) - (options.central ? below : value)};
}

// The loss with a coordinate moved, or its change.
double lossMoved(Engine& engine, int thread, const Problem& problem, Reuse reuse, std::size_t coordinate, float move,
                 const Control& control) {
  if (reuse == Reuse::Incremental) return engine.lossChange(thread, coordinate, move, problem, control);
  Weights& weights = engine.weights(thread);
  weights.set(coordinate, move);
  const double loss = engine.lossFrom(thread, cutPoint(engine, coordinate, reuse), problem, control);
  weights.set(coordinate, problem.parameters[coordinate]);
  return loss;
}

OutputQueries outputQueries(const CoordinatewiseOptions& options, std::uint64_t mark) {
  return {queryKind(options.reuse), options.count, options.count, options.central ? 2 : 1, mark};
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
    const Moves moves = movesOf(options, problem.parameters[coordinate]);
    const auto loss = [&](float move) {
      return lossMoved(engine, thread, problem, options.reuse, coordinate, move, control);
    };
    const double plus = loss(moves.plus), minus = options.central ? loss(moves.minus) : incremental ? 0 : estimate.loss;
    const double slope = (plus - minus) / moves.distance;
    estimate.values[position] = slope;
    return std::isfinite(slope);
  });

  if (failed != options.count) throw NonFinite(static_cast<long long>(options.coordinates[order[failed]]));
  estimate.queries = 1 + options.count * (options.central ? 2 : 1);
  return estimate;
}

PerturbedOutputs coordinatewiseOutputs(Engine& engine, const Problem& problem, const CoordinatewiseOptions& options,
                                       std::uint64_t mark, const Control& control) {
  std::vector<Moves> moves;
  moves.reserve(options.count);
  for (std::size_t i = 0; i < options.count; ++i) {
    moves.push_back(movesOf(options, problem.parameters[options.coordinates[i]]));
  }
  const auto run = [&](int thread, std::size_t i, int side) {
    const float move = side == 0 ? moves[i].plus : moves[i].minus;
    return lossMoved(engine, thread, problem, options.reuse, options.coordinates[i], move, control);
  };
  const auto nameOf = [&](std::size_t i) { return static_cast<long long>(options.coordinates[i]); };
  PerturbedOutputs result = collectOutputs(engine, problem, outputQueries(options, mark), control, run, nameOf);
  result.distances.reserve(options.count);
  for (const Moves& move : moves) result.distances.push_back(move.distance);
  return result;
}

std::size_t outputsFootprint(const Engine& engine, int count, const CoordinatewiseOptions& options, int threads) {
  return collectedFootprint(engine, count, outputQueries(options, 0), threads) + options.count * sizeof(Moves);
}

}  // namespace deepzero
