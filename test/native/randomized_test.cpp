// RGE: its directions, the formula by hand, and the same bits however it is run.
#include <atomic>
#include <cmath>
#include <numeric>
#include <vector>

#include "estimators/directions.hpp"
#include "estimators/estimators.hpp"
#include "estimators/random.hpp"
#include "harness.hpp"
#include "networks.hpp"

namespace deepzero::test {
namespace {

Estimate estimate(const Example& example, const RandomizedOptions& options, Control control = {}) {
  Engine engine(example.graph, kernels());
  return randomized(engine, example.problem(), options, control);
}

// A query's direction as the estimator uses it.
std::vector<double> direction(const Graph& graph, const RandomizedOptions& options, std::size_t query) {
  const Directions directions(graph, options);
  std::vector<double> result(graph.parameterCount());
  directions.draw(query, 0, result.size(), result.data());
  const std::vector<double> factors = directions.factors(result.data());
  for (std::size_t p = 0; p < graph.parameters().size(); ++p) {
    const Parameter& tensor = graph.parameters()[p];
    for (std::size_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) result[i] *= factors[p];
  }
  return result;
}

double norm(const double* values, std::size_t count) {
  return std::sqrt(std::inner_product(values, values + count, values, 0.0));
}

// Mean over entries of entry^power.
double moment(const std::vector<double>& values, int power) {
  double sum = 0;
  for (const double value : values) sum += std::pow(value, power);
  return sum / static_cast<double>(values.size());
}

// A network with enough parameters for statistics, 20,010 of them.
Graph wide() { return Builder({2000, 1, 1}).linear(10, true).graph(); }

TEST("Philox4x32-10 gives the known answers of its authors") {
  CHECK((philox({0, 0, 0, 0}, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  CHECK(
      (philox({~0u, ~0u, ~0u, ~0u}, ~std::uint64_t{0}) == PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  CHECK((philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
         PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Computed from the words of Philox by an independent program.
TEST("directions equal known answers") {
  RandomizedOptions options;
  options.seed = 1234567890123;
  options.stream = 2;
  options.index = 3;
  const Graph graph = wide();
  std::vector<double> numbers(8);
  Directions(graph, options).draw(5, 8, numbers.size(), numbers.data());
  const double normals[] = {0.197467529519328,  0.369424320378456, -0.546917829763136, 1.66901461196149,
                            -0.584346423758284, 0.230280846034737, 0.416368013365595,  0.591641089324344};
  for (std::size_t i = 0; i < numbers.size(); ++i) CHECK_NEAR(numbers[i], normals[i], 1e-13);

  options.distribution = Distribution::Rademacher;
  Directions(graph, options).draw(5, 8, numbers.size(), numbers.data());
  CHECK((numbers == std::vector<double>{1, -1, -1, -1, 1, -1, 1, -1}));
}

TEST("Gaussian directions have a normal distribution's moments") {
  RandomizedOptions options;
  options.seed = 7;
  const std::vector<double> u = direction(wide(), options, 3);
  const double deviations = 4 / std::sqrt(static_cast<double>(u.size()));
  CHECK_NEAR(moment(u, 1), 0, deviations);
  CHECK_NEAR(moment(u, 2), 1, deviations * std::sqrt(2));
  CHECK_NEAR(moment(u, 3), 0, deviations * std::sqrt(15));
  CHECK_NEAR(moment(u, 4), 3, deviations * std::sqrt(96));
}

TEST("Rademacher directions are ±1, half and half; directions on the sphere have unit length") {
  RandomizedOptions options;
  options.distribution = Distribution::Rademacher;
  const std::vector<double> signs = direction(wide(), options, 0);
  for (const double sign : signs) CHECK(std::abs(sign) == 1);
  CHECK_NEAR(moment(signs, 1), 0, 4 / std::sqrt(static_cast<double>(signs.size())));

  options.distribution = Distribution::Sphere;
  const std::vector<double> point = direction(wide(), options, 0);
  CHECK_NEAR(norm(point.data(), point.size()), 1, 1e-12);
  CHECK_NEAR(moment(point, 1), 0, 4.0 / static_cast<double>(point.size()));
}

TEST("per tensor, each tensor's direction has unit length") {
  const Graph graph = smallResNet();
  for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere, Distribution::Rademacher}) {
    RandomizedOptions options;
    options.distribution = distribution;
    options.perTensor = true;
    const std::vector<double> u = direction(graph, options, 1);
    for (const Parameter& tensor : graph.parameters()) CHECK_NEAR(norm(&u[tensor.offset], tensor.size), 1, 1e-12);
  }
}

TEST("directions differ by query, seed, stream and index, and any part can be drawn alone") {
  const Graph graph = wide();
  RandomizedOptions first;
  RandomizedOptions options[4] = {first, first, first, first};
  options[1].seed = 1;
  options[2].stream = 1;
  options[3].index = 1;
  const std::vector<double> u = direction(graph, first, 0);
  const auto correlation = [&](const std::vector<double>& v) {
    return std::inner_product(u.begin(), u.end(), v.begin(), 0.0) / norm(u.data(), u.size()) / norm(v.data(), v.size());
  };
  const double deviations = 4 / std::sqrt(static_cast<double>(u.size()));
  CHECK_NEAR(correlation(direction(graph, options[0], 1)), 0, deviations);
  for (int i = 1; i < 4; ++i) CHECK_NEAR(correlation(direction(graph, options[i], 0)), 0, deviations);

  for (const std::size_t start : {4, 4096, 20000}) {
    for (const std::size_t count : {1, 3, 7}) {
      std::vector<double> part(count);
      Directions(graph, first).draw(0, start, count, part.data());
      CHECK(sameBits(part, std::vector<double>(u.begin() + start, u.begin() + start + count)));
    }
  }
}

ISA_TEST("RGE equals its formula by hand") {
  const Example example(smallResNet(), 17);
  Engine engine(example.graph, kernels());
  for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere, Distribution::Rademacher}) {
    for (const bool central : {false, true}) {
      for (const bool perTensor : {false, true}) {
        RandomizedOptions options;
        options.mu = 5e-3;
        options.central = central;
        options.queries = 3;
        options.distribution = distribution;
        options.perTensor = perTensor;
        options.seed = 42;
        options.stream = 5;
        options.index = 9;
        std::vector<double> expected(example.graph.parameterCount(), 0.0);
        for (std::size_t q = 0; q < options.queries; ++q) {
          const std::vector<double> u = direction(example.graph, options, q);
          const auto lossAt = [&](double mu) {
            Example moved = example;
            for (std::size_t i = 0; i < u.size(); ++i) {
              moved.parameters[i] = static_cast<float>(example.parameters[i] + mu * u[i]);
            }
            return engine.evaluate(moved.problem(), {}).loss;
          };
          const double slope = central ? (lossAt(options.mu) - lossAt(-options.mu)) / (2 * options.mu)
                                       : (lossAt(options.mu) - lossAt(0)) / options.mu;
          for (std::size_t i = 0; i < u.size(); ++i) expected[i] += slope / 3 * u[i];
        }
        const Estimate result = estimate(example, options);
        // Rounding μu differently could move a parameter by one float, which the loss would hardly show.
        CHECK(relativeError(result.values, expected) < 1e-3);
        CHECK(result.queries == 1 + options.queries * (central ? 2 : 1));
      }
    }
  }
}

ISA_TEST("RGE of a linear function is an unbiased estimate of its gradient, on the sphere of 1/d of it") {
  // The absolute error against targets far away is linear in the parameters; its gradient is minus the mean input.
  Example example(Builder({4, 1, 1}).linear(1, true).graph(), 16);
  example.loss = Loss::MeanAbsoluteError;
  for (float& target : example.targets) target = 1000;
  const std::size_t d = example.graph.parameterCount();
  std::vector<double> gradient(d, -1.0);
  for (std::size_t i = 0; i + 1 < d; ++i) {
    gradient[i] = 0;
    for (int n = 0; n < 16; ++n) gradient[i] -= example.images[n * 4 + i] / 16.0;
  }
  for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere, Distribution::Rademacher}) {
    RandomizedOptions options;
    options.mu = 0.5;
    options.queries = 4000;
    options.distribution = distribution;
    options.seed = 3;
    std::vector<double> values = estimate(example, options).values;
    if (distribution == Distribution::Sphere) {
      for (double& value : values) value *= static_cast<double>(d);
    }
    const double deviations = 4 * std::sqrt(2.0 / 4000) * norm(gradient.data(), d);
    for (std::size_t i = 0; i < d; ++i) CHECK_NEAR(values[i], gradient[i], deviations);
  }
}

ISA_TEST("RGE has the same bits for every number of threads") {
  const Example example(smallCnn(), 20);
  for (const bool central : {false, true}) {
    RandomizedOptions options;
    options.mu = 5e-3;
    options.central = central;
    options.queries = 11;
    Control control;
    const Estimate one = estimate(example, options, control);
    for (const int threads : {2, 3}) {
      control.threads = threads;
      const Estimate more = estimate(example, options, control);
      CHECK(sameBits(more.values, one.values));
      CHECK(sameBits(more.loss, one.loss));
      CHECK(sameBits(more.outputs, one.outputs));
      CHECK(sameBits(more.statistics, one.statistics));
    }
  }
}

TEST("RGE over several chunks of coordinates has every tensor's factor in its place") {
  // Chunks are of 4,096 coordinates. Here they start within the first tensor, behind it, within a third and in a last.
  const Graph layers = Builder({60, 1, 1}).linear(50, true).linear(80, true).linear(100, true).linear(10, true).graph();
  CHECK(layers.parameterCount() > 3 * 4096 && layers.parameterAt(4096) > 0);
  for (const Graph& graph : {layers, wide()}) {
    const Example example(graph, 2);
    for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere}) {
      for (const bool perTensor : {false, true}) {
        RandomizedOptions options;
        options.mu = 1e-2;
        options.queries = 1;
        options.distribution = distribution;
        options.perTensor = perTensor;
        const std::vector<double> values = estimate(example, options).values;
        const std::vector<double> u = direction(example.graph, options, 0);
        const double slope = values[0] / u[0];
        CHECK(std::abs(slope) > 0);
        for (std::size_t i = 0; i < u.size(); ++i) CHECK_NEAR(values[i], slope * u[i], 1e-9 * std::abs(slope));
      }
    }
  }
}

ISA_TEST("RGE names the query of a loss that is not finite, stops when cancelled, and leaves no trace") {
  Example example(Builder({4, 1, 1}).linear(2, false).graph(), 3);
  example.loss = Loss::MeanAbsoluteError;
  Engine engine(example.graph, kernels());
  RandomizedOptions options;
  options.mu = 2;
  options.queries = 5;
  Control control;
  control.threads = 2;
  const std::vector<double> before = randomized(engine, example.problem(), options, control).values;

  Example large = example;
  for (float& weight : large.parameters) weight = 0;
  for (float& pixel : large.images) pixel = 3e38f;
  try {
    randomized(engine, large.problem(), options, control);
    CHECK(!"thrown");
  } catch (const NonFinite& error) {
    CHECK(error.coordinate >= 0 && error.coordinate < 5);
  }
  CHECK(sameBits(randomized(engine, example.problem(), options, control).values, before));

  std::atomic<bool> cancelled{false};
  control.threads = 1;
  control.cancelled = &cancelled;
  control.progress = [&](std::size_t done, std::size_t) { cancelled = done >= 2; };
  CHECK_THROWS(Cancelled, randomized(engine, example.problem(), options, control));
  control.cancelled = nullptr;
  control.progress = nullptr;
  CHECK(sameBits(randomized(engine, example.problem(), options, control).values, before));
}

}  // namespace
}  // namespace deepzero::test
