// Outputs at perturbed points that ranks share: the bits of one process, part after part.
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "estimators/estimators.hpp"
#include "harness.hpp"
#include "local_exchange.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

bool same(const PerturbedOutputs& a, const PerturbedOutputs& b) {
  const bool sameBase =
      a.base.has_value() == b.base.has_value() &&
      (!a.base || (sameBits(a.base->outputs, b.base->outputs) && sameBits(a.base->statistics, b.base->statistics)));
  return sameBase && sameBits(a.unperturbed, b.unperturbed) && sameBits(a.perturbed, b.perturbed) &&
         sameBits(a.distances, b.distances);
}

Example withoutLoss(const Graph& graph, int images) {
  Example example(graph, images);
  example.loss = Loss::None;
  return example;
}

CoordinatewiseOptions along(const std::uint32_t* coordinates, std::size_t count, Reuse reuse) {
  CoordinatewiseOptions options;
  options.mu = 5e-3;
  options.central = reuse == Reuse::Layer;
  options.reuse = reuse;
  options.coordinates = coordinates;
  options.count = count;
  return options;
}

TEST("outputs along coordinates that ranks share have the bits of one process, in parts of any length") {
  const Example example = withoutLoss(smallResNet(), 18);
  const std::vector<std::uint32_t> all = example.allCoordinates();
  for (const Reuse reuse : {Reuse::Layer, Reuse::Incremental}) {
    for (const int ranks : {1, 2, 5}) {
      Engine alone(example.graph, kernels()), engine(example.graph, kernels());
      withLeader(ranks, [&](Leader& leader) {
        std::size_t first = 0;
        std::uint64_t mark = 7;
        for (const std::size_t count : {1, 40, 3, 17}) {
          const CoordinatewiseOptions options = along(all.data() + first, count, reuse);
          const PerturbedOutputs expected = coordinatewiseOutputs(alone, example.problem(), options, mark, threads(2));
          CHECK(expected.base.has_value() == (first == 0));
          CHECK(same(leader.coordinatewiseOutputs(engine, example.problem(), options, mark, threads(2)), expected));
          first += count;
        }
        // Another estimate has other parameters.
        Example moved = example;
        moved.parameters[0] += 1;
        const CoordinatewiseOptions options = along(all.data(), 9, reuse);
        const PerturbedOutputs expected = coordinatewiseOutputs(alone, moved.problem(), options, mark + 1, threads(2));
        CHECK(expected.base.has_value());
        CHECK(same(leader.coordinatewiseOutputs(engine, moved.problem(), options, mark + 1, threads(2)), expected));
      });
    }
  }
}

TEST("outputs along directions that ranks share have the bits of one process") {
  const Example example = withoutLoss(smallCnn(), 5);
  for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere}) {
    RandomizedOptions options;
    options.mu = 5e-3;
    options.central = distribution == Distribution::Sphere;
    options.queries = 11;
    options.distribution = distribution;
    options.seed = 3;
    for (const int ranks : {2, 3, 12}) {
      Engine alone(example.graph, kernels()), engine(example.graph, kernels());
      withLeader(ranks, [&](Leader& leader) {
        for (const Range range : {Range{0, 4}, Range{4, 7}}) {
          CHECK(same(leader.randomizedOutputs(engine, example.problem(), options, range, 9, threads(1)),
                     randomizedOutputs(alone, example.problem(), options, range, 9, threads(1))));
        }
      });
    }
  }
}

TEST("models of one network, whose estimates have equal marks, do not share a base pass") {
  Example first = withoutLoss(smallCnn(), 5), second = first;
  for (float& parameter : second.parameters) parameter *= 0.5f;
  const std::vector<std::uint32_t> all = first.allCoordinates();
  Engine engine(first.graph, kernels()), other(first.graph, kernels());
  withLeader(3, [&](Leader& leader) {
    for (const std::uint64_t mark : {1, 2}) {
      for (const auto& [example, own] : {std::pair(&first, &engine), std::pair(&second, &other)}) {
        const CoordinatewiseOptions options = along(all.data(), 9, Reuse::Incremental);
        Engine alone(first.graph, kernels());
        CHECK(same(leader.coordinatewiseOutputs(*own, example->problem(), options, mark, threads(2)),
                   coordinatewiseOutputs(alone, example->problem(), options, mark, threads(2))));
      }
    }
  });
}

TEST("an output that is not finite is that of the query which one process names") {
  Example example = withoutLoss(smallCnn(), 3);
  const std::vector<std::uint32_t> all = example.allCoordinates();
  CoordinatewiseOptions options = along(all.data(), all.size(), Reuse::Incremental);
  options.mu = 1e38;
  Engine engine(example.graph, kernels());
  const auto failureOf = [](const auto& compute) {
    try {
      compute();
    } catch (const NonFinite& error) {
      return error.coordinate;
    }
    return -2LL;
  };
  const long long expected =
      failureOf([&] { coordinatewiseOutputs(engine, example.problem(), options, 1, threads(1)); });
  CHECK(expected >= 0);
  withLeader(4, [&](Leader& leader) {
    CHECK(failureOf([&] { leader.coordinatewiseOutputs(engine, example.problem(), options, 2, threads(1)); }) ==
          expected);
    example.images[3] = std::numeric_limits<float>::quiet_NaN();
    CHECK(failureOf([&] { leader.coordinatewiseOutputs(engine, example.problem(), options, 3, threads(1)); }) == -1);
  });
}

}  // namespace
}  // namespace deepzero::test
