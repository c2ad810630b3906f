// The order in which CGE's queries start.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "estimators/estimators.hpp"
#include "estimators/query_work.hpp"
#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

// The coordinates in the order of their queries.
std::vector<std::uint32_t> ordered(const Engine& engine, const std::vector<std::uint32_t>& coordinates, Reuse reuse) {
  CoordinatewiseOptions options;
  options.reuse = reuse;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  std::vector<std::uint32_t> result;
  for (const std::size_t position : queryOrder(engine, options)) result.push_back(coordinates.at(position));
  return result;
}

// The tensors of the coordinates, without repetition of neighbours.
std::vector<int> tensorsOf(const Graph& graph, const std::vector<std::uint32_t>& coordinates) {
  std::vector<int> result;
  for (const std::uint32_t coordinate : coordinates) {
    const int tensor = graph.parameterAt(coordinate);
    if (result.empty() || result.back() != tensor) result.push_back(tensor);
  }
  return result;
}

// Says so if they are not all coordinates, tensor by tensor, by falling cost and within a tensor by index.
std::string checkOrder(const Engine& engine, const std::vector<std::uint32_t>& order, Reuse reuse) {
  const Graph& graph = engine.graph();
  std::vector<std::uint32_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::uint32_t i = 0; i < graph.parameterCount(); ++i) {
    if (sorted.size() != graph.parameterCount() || sorted[i] != i) return "not every coordinate once";
  }
  QueryWork work(engine);
  for (std::size_t i = 1; i < order.size(); ++i) {
    const Parameter& before = graph.parameters()[graph.parameterAt(order[i - 1])];
    const Parameter& here = graph.parameters()[graph.parameterAt(order[i])];
    const bool within = before.offset == here.offset && order[i - 1] < order[i];
    const bool next = order[i - 1] + 1 == before.offset + before.size && order[i] == here.offset &&
                      work.of(before.offset, reuse).cost() >= work.of(here.offset, reuse).cost();
    if (!within && !next) return text(order[i], " follows ", order[i - 1]);
  }
  return "";
}

TEST("query order: the most expensive tensors first, each by index, however the coordinates are given") {
  for (int seed = 0; seed < 100; ++seed) {
    const Example example(randomNetwork(seed), 1, seed);
    const Engine engine(example.graph, kernels());
    for (const Reuse reuse : {Reuse::None, Reuse::Block, Reuse::Layer, Reuse::Incremental}) {
      std::vector<std::uint32_t> coordinates = example.allCoordinates();
      const std::vector<std::uint32_t> order = ordered(engine, coordinates, reuse);
      const std::string failure = checkOrder(engine, order, reuse);
      if (!failure.empty()) CHECK_PASSES(text("seed ", seed, ": ", failure));
      std::reverse(coordinates.begin(), coordinates.end());
      CHECK(ordered(engine, coordinates, reuse) == order);
    }
  }
  CHECK(checkOrder(Engine(smallCnn(), kernels()), {0, 1}, Reuse::Layer) != "");
}

TEST("query order: a branch that comes first and costs little is queried last") {
  Builder network({4, 8, 8});
  network.convolution(4, 3, 3, 1, 1, false);
  const int start = network.value;
  network.convolution(8, 1, 1, 1, 0, false);
  const int body = network.value;
  network.value = start;
  network.convolution(8, 3, 3, 1, 1, false).convolution(8, 5, 5, 1, 2, false).add(body);
  const Graph graph = network.globalAveragePool().linear(2, false).graph();
  const Engine engine(graph, kernels());
  const std::vector<std::uint32_t> all = Example(graph, 1).allCoordinates();
  // The weights are those of the first convolution, of the 1×1, the 3×3 and the 5×5 in branches, and of the classifier;
  // only the first's and the 3×3's changes pass the 5×5.
  const std::vector<int> changes = tensorsOf(graph, ordered(engine, all, Reuse::Incremental));
  CHECK(changes.size() == 5 && changes[0] == 0 && changes[1] == 2 && changes[4] == 4);
  // Values are computed from a layer on in the order of layers, and where nothing is reused all queries cost the same.
  CHECK((tensorsOf(graph, ordered(engine, all, Reuse::Layer)) == std::vector<int>{0, 1, 2, 3, 4}));
  CHECK((tensorsOf(graph, ordered(engine, all, Reuse::None)) == std::vector<int>{0, 1, 2, 3, 4}));
}

ISA_TEST("query order: of several losses that are not finite the first in it is named, for every number of threads") {
  Example example(Builder({4, 1, 1}).linear(2, true).graph(), 3);
  example.loss = Loss::MeanAbsoluteError;
  example.parameters[2] = example.parameters[6] = 0;
  for (int n = 0; n < 3; ++n) example.images[n * 4 + 2] = 3e38f;
  const std::vector<std::uint32_t> coordinates = {9, 8, 6, 7, 5, 4, 3, 2, 1, 0};
  CoordinatewiseOptions options;
  options.mu = 2;
  options.reuse = Reuse::Layer;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  Engine engine(example.graph, kernels());
  CHECK(coordinates[queryOrder(engine, options)[2]] == 2);
  for (int repetition = 0; repetition < 20; ++repetition) {
    try {
      coordinatewise(engine, example.problem(), options, threads(1 + repetition % 3));
      CHECK(!"thrown");
    } catch (const NonFinite& error) {
      CHECK(error.coordinate == 2);
    }
  }
}

}  // namespace
}  // namespace deepzero::test
