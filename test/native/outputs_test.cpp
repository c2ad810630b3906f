// Outputs at perturbed points, for losses that are computed elsewhere: against the float64 reference, and the same bits
// however they are computed.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "estimators/directions.hpp"
#include "estimators/estimators.hpp"
#include "harness.hpp"
#include "network/reference/reference.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

Example withoutLoss(Graph graph, int images) {
  Example example(std::move(graph), images);
  example.loss = Loss::None;
  example.labels.clear();
  example.targets.clear();
  return example;
}

CoordinatewiseOptions along(const std::vector<std::uint32_t>& coordinates, Reuse reuse, bool central,
                            double mu = 5e-3) {
  CoordinatewiseOptions options;
  options.mu = mu;
  options.central = central;
  options.reuse = reuse;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  return options;
}

PerturbedOutputs outputsOf(Engine& engine, const Example& example, const CoordinatewiseOptions& options,
                           int threadCount = 1, std::uint64_t mark = 1) {
  return coordinatewiseOutputs(engine, example.problem(), options, mark, threads(threadCount));
}

// Differences from the unperturbed outputs, [query][side][image][output].
std::vector<double> changes(const std::vector<double>& perturbed, const std::vector<double>& unperturbed) {
  std::vector<double> result = perturbed;
  for (std::size_t i = 0; i < result.size(); ++i) result[i] -= unperturbed[i % unperturbed.size()];
  return result;
}

struct Reference {
  std::vector<double> unperturbed, perturbed;
};

Reference referenceOf(const Example& example, const std::vector<std::uint32_t>& coordinates, double mu, bool central) {
  const std::size_t size = example.count * example.graph.output().size();
  Reference result{std::vector<double>(size), std::vector<double>(coordinates.size() * (central ? 2 : 1) * size)};
  referenceOutputs(example.graph, example.problem(), coordinates.data(), coordinates.size(), mu, central, threads(2),
                   result.unperturbed.data(), result.perturbed.data());
  return result;
}

// About `count` coordinates, spread over all tensors.
std::vector<std::uint32_t> spread(const Example& example, std::size_t count) {
  std::vector<std::uint32_t> result;
  const std::size_t all = example.graph.parameterCount();
  for (std::size_t i = 0; i < count; ++i) result.push_back(static_cast<std::uint32_t>(i * all / count));
  return result;
}

bool sameBits(const PerturbedOutputs& a, const PerturbedOutputs& b) {
  return test::sameBits(a.unperturbed, b.unperturbed) && test::sameBits(a.perturbed, b.perturbed) &&
         test::sameBits(a.distances, b.distances);
}

ISA_TEST("perturbed outputs agree with the float64 reference in their changes") {
  for (const Graph& graph : {smallResNet(), smallCnn(), averagePools(), shortResiduals(), nonlinearities()}) {
    for (const bool central : {false, true}) {
      Example example = withoutLoss(graph, 20);
      example.training = !central;
      const std::vector<std::uint32_t> some = spread(example, 30);
      Engine engine(example.graph, kernels());
      const Reference slow = referenceOf(example, some, 5e-3, central);
      const PerturbedOutputs fast = outputsOf(engine, example, along(some, Reuse::Incremental, central));
      CHECK(relativeError(fast.unperturbed, slow.unperturbed) < 1e-12);
      const double error =
          relativeError(changes(fast.perturbed, fast.unperturbed), changes(slow.perturbed, slow.unperturbed));
      CHECK_PASSES(error < 1e-5 ? "" : text("relative error ", error));
      for (const double distance : fast.distances) CHECK_NEAR(distance, central ? 1e-2 : 5e-3, 1e-9);
      // The others have the errors of float32 values.
      for (const Reuse reuse : {Reuse::None, Reuse::Block, Reuse::Layer}) {
        const double rough =
            relativeError(outputsOf(engine, example, along(some, reuse, central)).perturbed, slow.perturbed);
        CHECK_PASSES(rough < 1e-5 ? "" : text("relative error ", rough));
      }
    }
  }
}

ISA_TEST("perturbed outputs of a map of several rows are in the reference's order") {
  const Example example =
      withoutLoss(Builder({2, 5, 4}).convolution(3, 3, 3, 1, 1, true).batchNorm().relu().graph(), 18);
  const std::vector<std::uint32_t> all = example.allCoordinates();
  Engine engine(example.graph, kernels());
  const Reference slow = referenceOf(example, all, 1e-2, false);
  for (const Reuse reuse : {Reuse::Incremental, Reuse::Layer}) {
    const PerturbedOutputs fast = outputsOf(engine, example, along(all, reuse, false, 1e-2));
    CHECK(largestError(fast.unperturbed, slow.unperturbed) < 1e-5);
    CHECK(largestError(fast.perturbed, slow.perturbed) < 1e-5);
  }
}

ISA_TEST("the losses of perturbed outputs are those that CGE compares") {
  Example example(smallResNet(), 17);
  example.loss = Loss::MeanSquaredError;
  Example open = example;
  open.loss = Loss::None;
  const std::vector<std::uint32_t> all = spread(example, 60);
  Engine engine(example.graph, kernels());
  for (const Reuse reuse : {Reuse::None, Reuse::Block, Reuse::Layer, Reuse::Incremental}) {
    for (const bool central : {false, true}) {
      const CoordinatewiseOptions options = along(all, reuse, central);
      const Estimate estimate = coordinatewise(engine, example.problem(), options, threads(2));
      const PerturbedOutputs outputs = outputsOf(engine, open, options, 2);
      const auto lossOf = [&](const std::vector<double>& all_, std::size_t set) {
        double sum = 0;
        for (std::size_t i = 0; i < example.targets.size(); ++i) {
          const double error = all_[set * example.targets.size() + i] - example.targets[i];
          sum += error * error;
        }
        return sum / static_cast<double>(example.targets.size());
      };
      const std::size_t sides = central ? 2 : 1;
      std::vector<double> values;
      for (std::size_t q = 0; q < all.size(); ++q) {
        const double above = lossOf(outputs.perturbed, q * sides);
        const double below = central ? lossOf(outputs.perturbed, q * sides + 1) : lossOf(outputs.unperturbed, 0);
        values.push_back((above - below) / outputs.distances[q]);
      }
      // Sums in another order, 1e-16 of a loss of size 1 over μ.
      CHECK(relativeError(values, estimate.values) < 1e-10);
      CHECK(outputs.base.has_value());
      if (!outputs.base) continue;
      CHECK(test::sameBits(outputs.base->outputs, estimate.outputs));
      CHECK(test::sameBits(outputs.base->statistics, estimate.statistics));
    }
  }
}

ISA_TEST("perturbed outputs have the same bits for every number of threads and in parts") {
  for (const Graph& graph : {smallCnn(), smallResNet()}) {
    const Example example = withoutLoss(graph, 33);
    const std::vector<std::uint32_t> all = spread(example, 60);
    for (const Reuse reuse : {Reuse::Layer, Reuse::Incremental}) {
      Engine whole(example.graph, kernels());
      const PerturbedOutputs one = outputsOf(whole, example, along(all, reuse, true));
      for (const int threadCount : {2, 3}) {
        Engine engine(example.graph, kernels());
        CHECK(sameBits(outputsOf(engine, example, along(all, reuse, true), threadCount, 7), one));
        PerturbedOutputs parts;
        for (std::size_t first = 0; first < all.size(); first += 25) {
          const std::vector<std::uint32_t> some(all.begin() + first, all.begin() + std::min(first + 25, all.size()));
          const PerturbedOutputs part = outputsOf(engine, example, along(some, reuse, true), threadCount, 8);
          CHECK(part.base.has_value() == (first == 0) && part.unperturbed.empty() == (first > 0));
          if (first == 0) parts.unperturbed = part.unperturbed;
          parts.perturbed.insert(parts.perturbed.end(), part.perturbed.begin(), part.perturbed.end());
          parts.distances.insert(parts.distances.end(), part.distances.begin(), part.distances.end());
        }
        CHECK(sameBits(parts, one));
      }
    }
  }
}

ISA_TEST("a base pass is shared only if nothing was computed since and all is equal") {
  const Example example = withoutLoss(smallCnn(), 20), fewer = withoutLoss(smallCnn(), 19);
  Example with(smallCnn(), 20);
  const std::vector<std::uint32_t> some = {0, 5, 9};
  const CoordinatewiseOptions changes_ = along(some, Reuse::Incremental, false);
  Engine engine(example.graph, kernels());
  const auto begins = [&](const Example& of, Reuse reuse, int threadCount, std::uint64_t mark) {
    return outputsOf(engine, of, along(some, reuse, false), threadCount, mark).base.has_value();
  };
  const PerturbedOutputs first = outputsOf(engine, example, changes_, 1, 1);
  CHECK(!begins(example, Reuse::Incremental, 1, 1));
  CHECK(begins(example, Reuse::Incremental, 1, 2));
  CHECK(begins(example, Reuse::Incremental, 2, 2));
  CHECK(begins(example, Reuse::Layer, 2, 2));
  CHECK(!begins(example, Reuse::Block, 2, 2));
  CHECK(begins(fewer, Reuse::Layer, 2, 2));
  const std::vector<std::function<void()>> others = {
      [&] { engine.evaluate(example.problem(), threads(2)); },
      [&] { engine.gradient(with.problem(), threads(2), Precision::Single); },
      [&] { coordinatewise(engine, with.problem(), changes_, threads(2)); },
      [&] { engine.release(); },
      [&] {
        std::atomic<bool> cancelled{true};
        Control control = threads(2);
        control.cancelled = &cancelled;
        CHECK_THROWS(Cancelled, coordinatewiseOutputs(engine, example.problem(), changes_, 4, control));
      },
  };
  for (const auto& other : others) {
    begins(example, Reuse::Incremental, 2, 3);
    CHECK(!begins(example, Reuse::Incremental, 2, 3));
    other();
    const PerturbedOutputs again = outputsOf(engine, example, changes_, 2, 3);
    CHECK(again.base.has_value());
    CHECK(sameBits(again, first));
  }
}

ISA_TEST("outputs along directions, with their slopes combined, are RGE") {
  Example example(smallCnn(), 20);
  example.loss = Loss::MeanSquaredError;
  Example open = example;
  open.loss = Loss::None;
  Engine engine(example.graph, kernels());
  for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere, Distribution::Rademacher}) {
    for (const bool central : {false, true}) {
      for (const Reuse reuse : {Reuse::None, Reuse::Incremental}) {
        RandomizedOptions options;
        options.mu = 5e-3;
        options.central = central;
        options.reuse = reuse;
        options.queries = 11;
        options.distribution = distribution;
        options.perTensor = central;
        options.seed = 3;
        const Estimate estimate = randomized(engine, example.problem(), options, threads(2));
        std::vector<double> slopes, base;
        for (const Range range : {Range{0, 4}, Range{4, 7}}) {
          const PerturbedOutputs part = randomizedOutputs(engine, open.problem(), options, range, 9, threads(2));
          if (part.base) base = part.unperturbed;
          const std::size_t width = example.targets.size();
          const auto lossOf = [&](const double* outputs) {
            double sum = 0;
            for (std::size_t i = 0; i < width; ++i) sum += std::pow(outputs[i] - example.targets[i], 2);
            return sum / static_cast<double>(width);
          };
          for (std::size_t q = 0; q < range.count; ++q) {
            const double* sides = part.perturbed.data() + q * (central ? 2 : 1) * width;
            slopes.push_back((lossOf(sides) - lossOf(central ? sides + width : base.data())) / part.distances[q]);
          }
        }
        const std::vector<double> values = combineDirections(example.graph, options, slopes.data(), threads(2));
        CHECK(relativeError(values, estimate.values) < 1e-10);
        CHECK(test::sameBits(combineDirections(example.graph, options, slopes.data(), threads(3)), values));
      }
    }
  }
}

ISA_TEST("outputs along directions have the same bits for every number of threads and in parts") {
  const Example example = withoutLoss(smallCnn(), 20);
  RandomizedOptions options;
  options.mu = 5e-3;
  options.central = true;
  options.queries = 9;
  Engine first(example.graph, kernels());
  const PerturbedOutputs one = randomizedOutputs(first, example.problem(), options, {0, 9}, 1, threads(1));
  for (const int threadCount : {2, 3}) {
    Engine engine(example.graph, kernels());
    std::vector<double> perturbed;
    for (std::size_t q = 0; q < 9; q += 3) {
      const PerturbedOutputs part =
          randomizedOutputs(engine, example.problem(), options, {q, 3}, 5, threads(threadCount));
      perturbed.insert(perturbed.end(), part.perturbed.begin(), part.perturbed.end());
    }
    CHECK(test::sameBits(perturbed, one.perturbed));
  }
}

ISA_TEST("outputs that are not finite name their query, and leave no trace") {
  Example example = withoutLoss(Builder({4, 1, 1}).linear(2, true).graph(), 3);
  example.parameters[2] = example.parameters[6] = 0;
  for (int n = 0; n < 3; ++n) example.images[n * 4 + 2] = 3e38f;
  Engine engine(example.graph, kernels());
  const std::vector<std::uint32_t> harmless = {0, 1, 3, 4, 5, 7, 8, 9};
  for (const Reuse reuse : {Reuse::Layer, Reuse::Incremental}) {
    const PerturbedOutputs before = outputsOf(engine, example, along(harmless, reuse, false, 2.0), 2, 1);
    for (const std::uint32_t bad : {2u, 6u}) {
      std::vector<std::uint32_t> coordinates = harmless;
      coordinates.insert(coordinates.begin() + 4, bad);
      try {
        outputsOf(engine, example, along(coordinates, reuse, false, 2.0), 2, 2);
        CHECK(!"thrown");
      } catch (const NonFinite& error) {
        CHECK(error.coordinate == bad);
      }
      CHECK(sameBits(outputsOf(engine, example, along(harmless, reuse, false, 2.0), 2, 3), before));
    }
  }
  RandomizedOptions options;
  options.mu = 2;
  options.queries = 5;
  try {
    randomizedOutputs(engine, example.problem(), options, {2, 3}, 4, threads(2));
    CHECK(!"thrown");
  } catch (const NonFinite& error) {
    CHECK(error.coordinate >= 2 && error.coordinate < 5);
  }
  example.images[0] = std::numeric_limits<float>::quiet_NaN();
  try {
    outputsOf(engine, example, along(harmless, Reuse::Incremental, false), 2, 5);
    CHECK(!"thrown");
  } catch (const NonFinite& error) {
    CHECK(error.coordinate == -1);
  }
  CHECK_THROWS(NonFinite, engine.evaluate(example.problem(), threads(2)));
  CHECK_THROWS(NonFinite, referenceOf(example, harmless, 1e-3, false));
}

}  // namespace
}  // namespace deepzero::test
