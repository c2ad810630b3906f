// Estimates of every kind by one engine.
#include <vector>

#include "estimators/estimators.hpp"
#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

TEST("one engine serves estimates of every kind, at any point, on batches of any size and in any order") {
  const Graph graph = smallCnn();
  Engine engine(graph, kernels());
  for (const int count : {1, 40, 17, 40}) {
    const Example example(graph, count, 100 + count);
    const std::vector<std::uint32_t> coordinates = {0, 5, 90, 120};
    const auto coordinatewiseOf = [&](Engine& on, Reuse reuse) {
      CoordinatewiseOptions options;
      options.mu = 5e-3;
      options.reuse = reuse;
      options.coordinates = coordinates.data();
      options.count = coordinates.size();
      return coordinatewise(on, example.problem(), options, threads(2)).values;
    };
    const auto randomizedOf = [&](Engine& on, Reuse reuse) {
      RandomizedOptions options;
      options.mu = 5e-3;
      options.reuse = reuse;
      // Enough for products of the first convolution's input to be worthwhile.
      options.queries = 20;
      return randomized(on, example.problem(), options, threads(2)).values;
    };
    const auto gradientOf = [&](Engine& on, Precision precision) {
      return on.gradient(example.problem(), threads(2), precision).values;
    };
    for (const Reuse reuse : {Reuse::Incremental, Reuse::None}) {
      Engine first(graph, kernels()), second(graph, kernels());
      CHECK(sameBits(randomizedOf(engine, reuse), randomizedOf(first, reuse)));
      CHECK(sameBits(coordinatewiseOf(engine, reuse), coordinatewiseOf(second, reuse)));
    }
    for (const Precision precision : {Precision::Single, Precision::Double}) {
      Engine fresh(graph, kernels());
      CHECK(sameBits(gradientOf(engine, precision), gradientOf(fresh, precision)));
    }
  }
}

}  // namespace
}  // namespace deepzero::test
