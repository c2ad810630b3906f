#include "ranks/commands/shares.hpp"

#include <algorithm>
#include <numeric>

#include "estimators/query_work.hpp"

namespace deepzero {

std::vector<std::vector<std::size_t>> sharesOf(const Engine& engine, const CoordinatewiseOptions& options, int ranks) {
  const Graph& graph = engine.graph();
  const std::vector<double> costs = tensorCosts(engine, options.reuse);
  std::vector<std::vector<std::size_t>> places(costs.size()), shares(ranks);
  for (std::size_t i = 0; i < options.count; ++i) places[graph.parameterAt(options.coordinates[i])].push_back(i);
  std::vector<int> byCost(costs.size()), byLoad(ranks);
  std::iota(byCost.begin(), byCost.end(), 0);
  std::stable_sort(byCost.begin(), byCost.end(), [&](int a, int b) { return costs[a] > costs[b]; });
  const auto inOrder = [&](std::size_t a, std::size_t b) { return options.coordinates[a] < options.coordinates[b]; };
  std::vector<double> loads(ranks);
  for (const int tensor : byCost) {
    std::vector<std::size_t>& own = places[tensor];
    std::sort(own.begin(), own.end(), inOrder);
    std::vector<std::size_t> counts(ranks, own.size() / ranks);
    std::iota(byLoad.begin(), byLoad.end(), 0);
    std::stable_sort(byLoad.begin(), byLoad.end(), [&](int a, int b) { return loads[a] < loads[b]; });
    for (std::size_t i = 0; i < own.size() % ranks; ++i) ++counts[byLoad[i]];
    auto from = own.begin();
    for (int rank = 0; rank < ranks; ++rank) {
      shares[rank].insert(shares[rank].end(), from, from + counts[rank]);
      from += counts[rank];
      loads[rank] += costs[tensor] * counts[rank];
    }
  }
  for (std::vector<std::size_t>& share : shares) std::sort(share.begin(), share.end(), inOrder);
  return shares;
}

Range rangeOf(std::size_t count, int rank, int ranks) {
  const auto at = [&](int i) { return count / ranks * i + std::min<std::size_t>(i, count % ranks); };
  return {at(rank), at(rank + 1) - at(rank)};
}

}  // namespace deepzero
