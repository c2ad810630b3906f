// Rollouts against plain loops, and simulators that are wrong.
#include "rollouts/rollouts.hpp"

#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "estimators/directions.hpp"
#include "harness.hpp"
#include "networks.hpp"
#include "rollouts/reference.hpp"
#include "trajectories.hpp"

namespace deepzero::test {

ISA_TEST("CGE of rollouts agrees with plain loops in double precision") {
  for (const char* name : {"linear", "corrects"}) {
    for (const RolloutLoss loss : {RolloutLoss::SquaredError, RolloutLoss::AbsoluteError, RolloutLoss::Simulator}) {
      for (const int count : {1, 3, 16, 17}) {
        const auto library = simulators(name);
        const std::string config = std::to_string(kEntries);
        Rollouts rollouts(rowNetwork(), kernels(), library, config);
        Simulator simulator(library, config);
        const Trajectories given(rollouts.graph(), count, 4, loss);
        const std::vector<std::uint32_t> coordinates = every(rollouts.graph());
        for (const double mu : {1e-6, 1e-4, 1e-2}) {
          for (const bool central : {false, true}) {
            const RolloutEstimate found =
                rollouts.coordinatewise(given.problem, along(coordinates, mu, central), threads(2));
            double base = 0;
            const std::vector<double> expected =
                referenceRolloutCoordinatewise(rollouts.graph(), simulator, given.problem, coordinates.data(),
                                               coordinates.size(), mu, central, threads(1), &base);
            CHECK_NEAR(found.loss, base, 1e-13);
            const double error = relativeError(found.values, expected);
            if (!(error < 1e-6)) fail(__FILE__, __LINE__, text(name, " ", count, " ", mu, ": ", error));
            CHECK(found.queries == 1 + coordinates.size() * (central ? 2 : 1));
            CHECK(found.failed == 0);
          }
        }
      }
    }
  }
}

TEST("strides, pools, linear layers and residuals take the changes of lanes as plain loops do") {
  Builder builder({1, 1, 12});
  builder.convolution(2, 3, 3, 1, 2, true).tanh().convolution(3, 3, 3, 2, 1, true).relu();
  const int branch = builder.value;
  builder.convolution(3, 3, 3, 1, 1, false).add(branch).maxPool(2, 1).flatten().linear(12, true);
  const auto library = simulators("linear");
  Rollouts rollouts(builder.graph(), kernels(), library, "12 flat");
  Simulator simulator(library, "12 flat");
  const Trajectories given(rollouts.graph(), 5, 3, RolloutLoss::SquaredError, 12);
  const std::vector<std::uint32_t> coordinates = every(rollouts.graph());
  const RolloutEstimate found = rollouts.coordinatewise(given.problem, along(coordinates, 1e-4, true), threads(2));
  const std::vector<double> expected =
      referenceRolloutCoordinatewise(rollouts.graph(), simulator, given.problem, coordinates.data(), coordinates.size(),
                                     1e-4, true, threads(1), nullptr);
  CHECK_NEAR(relativeError(found.values, expected), 0, 1e-6);
}

TEST("CGE of rollouts tends to the gradient that a linear simulator has by hand") {
  // s₃ = (a + w)³·s₀ + b·(1 + (a + w) + (a + w)²), and the loss is the mean of its entries.
  const auto library = simulators("linear");
  Rollouts rollouts(Builder({1, 1, 4}).convolution(1, 1, 1, 1, 0, true).graph(), kernels(), library, "4");
  Trajectories given(rollouts.graph(), 1, 3, RolloutLoss::Simulator, 4);
  given.parameters = {0.3F, -0.2F};
  given.problem.parameters = given.parameters.data();
  given.problem.targets = nullptr;
  const double r = static_cast<double>(given.items[0]) + given.parameters[0], b = given.parameters[1];
  const double start = std::accumulate(given.items.begin() + 1, given.items.end(), 0.0) / 4;
  const std::vector<std::uint32_t> coordinates{0, 1};
  const RolloutEstimate found = rollouts.coordinatewise(given.problem, along(coordinates, 1e-5, true), threads(1));
  CHECK_NEAR(found.loss, r * r * r * start + b * (1 + r + r * r), 1e-14);
  CHECK_NEAR(found.values[0], 3 * r * r * start + b * (1 + 2 * r), 1e-9);
  CHECK_NEAR(found.values[1], 1 + r + r * r, 1e-9);
}

TEST("rollouts have the same bits on any number of threads and among any other queries") {
  Rollouts rollouts(rowNetwork(), kernels(), simulators("corrects"), std::to_string(kEntries));
  const Trajectories given(rollouts.graph(), 3, 5, RolloutLoss::SquaredError);
  const std::vector<std::uint32_t> coordinates = every(rollouts.graph());
  std::size_t done = 0, total = 0;
  Control control = threads(1);
  control.progress = [&](std::size_t now, std::size_t all) {
    CHECK(now >= done && now <= all);
    done = now;
    total = all;
  };
  const RolloutEstimate one = rollouts.coordinatewise(given.problem, along(coordinates, 1e-3, true), control);
  CHECK(done == coordinates.size() && total == coordinates.size());
  for (const int count : {2, 5}) {
    const RolloutEstimate found =
        rollouts.coordinatewise(given.problem, along(coordinates, 1e-3, true), threads(count));
    CHECK(found.values == one.values && found.outputs == one.outputs && found.loss == one.loss);
  }
  const std::vector<std::uint32_t> few = every(rollouts.graph(), 7);
  const RolloutEstimate part = rollouts.coordinatewise(given.problem, along(few, 1e-3, true), threads(2));
  for (std::size_t i = 0; i < few.size(); ++i) CHECK(part.values[i] == one.values[few[i]]);
}

ISA_TEST("RGE of rollouts is the mean of the slopes along its directions") {
  const auto library = simulators("linear");
  Rollouts rollouts(rowNetwork(), kernels(), library, std::to_string(kEntries));
  Simulator simulator(library, std::to_string(kEntries));
  const Graph& graph = rollouts.graph();
  for (const int count : {1, 3, 17}) {
    const Trajectories given(graph, count, 4, RolloutLoss::SquaredError);
    for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere, Distribution::Rademacher}) {
      for (const bool central : {false, true}) {
        RandomizedOptions options;
        options.mu = 1e-4;
        options.queries = 5;
        options.distribution = distribution;
        options.central = central;
        options.perTensor = central;
        options.seed = 3;
        const RolloutEstimate found = rollouts.randomized(given.problem, options, threads(2));
        const Directions directions(graph, options);
        std::vector<double> expected(graph.parameterCount()), direction(graph.parameterCount());
        for (std::size_t query = 0; query < options.queries; ++query) {
          directions.draw(query, 0, direction.size(), direction.data());
          const std::vector<double> factors = directions.factors(direction.data());
          for (std::size_t i = 0; i < direction.size(); ++i) direction[i] *= factors[graph.parameterAt(i)];
          const auto lossAt = [&](double mu) {
            std::vector<double> moved(given.parameters.begin(), given.parameters.end());
            for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += mu * direction[i];
            return referenceRolloutLoss(graph, simulator, given.problem, moved, threads(1));
          };
          const double slope = central ? (lossAt(1e-4) - lossAt(-1e-4)) / 2e-4 : (lossAt(1e-4) - lossAt(0)) / 1e-4;
          for (std::size_t i = 0; i < direction.size(); ++i) expected[i] += slope * direction[i] / 5;
        }
        CHECK_NEAR(relativeError(found.values, expected), 0, 1e-6);
        CHECK(found.queries == 1 + options.queries * (central ? 2 : 1));
      }
    }
  }
}

TEST("unperturbed lanes beside perturbed ones keep every bit, the signs of zeros too") {
  Rollouts rollouts(Builder({1, 1, 2}).convolution(1, 1, 1, 1, 0, true).graph(), kernels(), simulators("linear"), "2");
  Trajectories given(rollouts.graph(), 2, 2, RolloutLoss::SquaredError, 2);
  given.parameters = {0.0F, -0.0F};
  // All values of the first are −0.
  given.items = {0, -1, -2, 1, 3, 4};
  given.problem.parameters = given.parameters.data();
  given.problem.items = given.items.data();
  const Evaluation expected = rollouts.evaluate(given.problem, threads(1));
  for (int i = 0; i < 4; ++i) CHECK(expected.outputs[i] == 0 && std::signbit(expected.outputs[i]));
  RandomizedOptions options;
  options.mu = 1e-3;
  options.queries = 1;
  for (options.seed = 0; options.seed < 8; ++options.seed) {
    const RolloutEstimate found = rollouts.randomized(given.problem, options, threads(1));
    CHECK(sameBits(found.outputs, expected.outputs) && sameBits(found.loss, expected.loss));
  }
}

TEST("a query whose simulator fails is left out, and too many or the unperturbed one are an error") {
  // One weight and one bias: the first entry grows above 100 where the weight or the bias is moved up by 2.
  Rollouts rollouts(Builder({1, 1, 2}).convolution(1, 1, 1, 1, 0, true).graph(), kernels(), simulators("linear"),
                    "2 fail");
  Trajectories given(rollouts.graph(), 1, 3, RolloutLoss::SquaredError, 2);
  given.parameters = {0, 0};
  given.items = {1, 60, 1};
  given.problem.parameters = given.parameters.data();
  given.problem.items = given.items.data();
  const std::vector<std::uint32_t> both{0, 1};
  const RolloutEstimate forward = rollouts.coordinatewise(given.problem, along(both, 2, false), threads(1));
  CHECK(forward.failed == 1 && forward.values[0] == 0 && std::isfinite(forward.values[1]));
  CHECK(forward.values[1] != 0);
  const RolloutEstimate central = rollouts.coordinatewise(given.problem, along(both, 2, true), threads(1));
  CHECK(central.failed == 1 && std::isfinite(central.values[0]) && central.values[0] != 0);
  const std::vector<std::uint32_t> weight{0};
  try {
    rollouts.coordinatewise(given.problem, along(weight, 2, false), threads(1));
    CHECK(false);
  } catch (const NonFinite& error) {
    CHECK(error.coordinate == 0);
  }
  given.items[1] = 101;
  try {
    rollouts.coordinatewise(given.problem, along(both, 2, false), threads(1));
    CHECK(false);
  } catch (const NonFinite& error) {
    CHECK(error.coordinate == -1);
  }
}

TEST("RGE is the mean of the slopes that there are, and names the directions that have none") {
  const auto library = simulators("linear");
  Rollouts rollouts(Builder({1, 1, 2}).convolution(1, 1, 1, 1, 0, true).graph(), kernels(), library, "2 fail");
  Simulator simulator(library, "2 fail");
  Trajectories given(rollouts.graph(), 1, 3, RolloutLoss::SquaredError, 2);
  given.parameters = {0, 0};
  given.items = {1, 60, 1};
  given.problem.parameters = given.parameters.data();
  given.problem.items = given.items.data();
  RandomizedOptions options;
  options.mu = 0.5;
  options.queries = 8;
  options.seed = 1;
  const RolloutEstimate found = rollouts.randomized(given.problem, options, threads(2));
  const Directions directions(rollouts.graph(), options);
  std::vector<double> expected(2), direction(2);
  std::vector<std::uint32_t> missing;
  for (std::uint32_t query = 0; query < options.queries; ++query) {
    directions.draw(query, 0, 2, direction.data());
    const double loss = referenceRolloutLoss(rollouts.graph(), simulator, given.problem,
                                             {0.5 * direction[0], 0.5 * direction[1]}, threads(1));
    if (!std::isfinite(loss)) {
      missing.push_back(query);
      continue;
    }
    for (std::size_t i = 0; i < 2; ++i) expected[i] += (loss - found.loss) / 0.5 * direction[i];
  }
  CHECK(!missing.empty() && found.missing == missing && found.failed == missing.size());
  for (double& value : expected) value /= static_cast<double>(options.queries - missing.size());
  CHECK_NEAR(relativeError(found.values, expected), 0, 1e-6);
}

TEST("whatever a simulator fails in, and a value that is not finite, is the query's failure alone, and named") {
  const std::vector<std::uint32_t> both{0, 1};
  for (const auto& [name, config] :
       {std::pair("linear", "2 unobserved"), std::pair("linear", "2 unmeasured"), std::pair("linear", "2 nan"),
        std::pair("corrects", "2 uncorrected"), std::pair("corrects", "2 fail")}) {
    Rollouts rollouts(Builder({1, 1, 2}).convolution(1, 1, 1, 1, 0, true).graph(), kernels(), simulators(name), config);
    Trajectories given(rollouts.graph(), 2, 3, RolloutLoss::SquaredError, 2);
    given.parameters = {0, 0};
    given.items = {1, 1, 1, 1, 60, 1};
    given.problem.parameters = given.parameters.data();
    given.problem.items = given.items.data();
    const RolloutEstimate found = rollouts.coordinatewise(given.problem, along(both, 2, false), threads(1));
    CHECK(found.failed == 1 && found.missing == std::vector<std::uint32_t>{0});
    CHECK(found.values[0] == 0 && found.values[1] != 0 && std::isfinite(found.values[1]));
    given.items[4] = 101;
    std::string message;
    try {
      rollouts.evaluate(given.problem, threads(1));
    } catch (const NonFinite& error) {
      message = error.what();
    }
    const bool isNan = std::string(config) == "2 nan";
    const std::string expected = isNan ? "trajectory 1 has a value that is not finite in its step 0"
                                       : "the simulator fails for trajectory 1 in its step 0";
    if (message != expected) fail(__FILE__, __LINE__, text(name, " ", config, ": ", message));
  }
}

TEST("only the trajectory that fails has no loss, whatever lies beside it") {
  Rollouts rollouts(Builder({1, 1, 2}).convolution(1, 1, 1, 1, 0, false).graph(), kernels(), simulators("linear"),
                    "2 fail");
  Trajectories given(rollouts.graph(), 1, 2, RolloutLoss::SquaredError, 2);
  given.parameters = {0};
  given.items = {1, 40, 1};
  given.problem.parameters = given.parameters.data();
  given.problem.items = given.items.data();
  // Sides of one coordinate lie in one block: the one above fails, the one below does not.
  const std::vector<std::uint32_t> weight{0};
  const RolloutEstimate found = rollouts.coordinatewise(given.problem, along(weight, 2, true), threads(1));
  CHECK(found.failed == 1);
  // The slope between the side below and the unperturbed loss.
  CHECK_NEAR(found.values[0], -20.0 * given.targets[0] - 0.5 * given.targets[1], 1e-9);
}

TEST("a wrong simulator is refused with its path and what is wrong") {
  const auto messageOf = [](auto make) -> std::string {
    try {
      make();
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  const auto contains = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(contains(messageOf([] { simulators("missing"); }), "missing.so: cannot open shared object file"));
  CHECK(contains(messageOf([] { simulators("missing"); }), "; expected a shared object, as cc -shared -fPIC makes"));
  CHECK(contains(messageOf([] { simulators("stranger"); }),
                 "stranger.so: expected a simulator with the function deepzero_simulator_interface"));
  CHECK(contains(messageOf([] { simulators("newer"); }),
                 "newer.so: expected a simulator of version 1 of deepzero_simulator.h, found version 2"));
  const auto make = [](const char* config) { return Simulator(simulators("linear"), config).state(); };
  CHECK(contains(messageOf([&] { make("x"); }), "linear.so: expected the number of entries, received \"x\""));
  CHECK(contains(messageOf([&] { make("none"); }), "linear.so: create returned null"));
  CHECK(contains(messageOf([&] { make("wrong"); }),
                 "linear.so: create set a size of state out of range: expected from 1"));
  const auto roll = [](Graph graph) {
    const Rollouts rollouts(std::move(graph), kernels(), simulators("linear"), "4");
  };
  CHECK(contains(messageOf([&] {
                   roll(Builder({1, 1, 5}).convolution(1, 1, 1, 1, 0, true).graph());
                 }),
                 "linear.so: expected a network with an input of 1×1×4, the simulator's observation, received 1×1×5"));
  CHECK(contains(messageOf([&] {
                   roll(Builder({1, 1, 4}).convolution(2, 1, 1, 1, 0, true).graph());
                 }),
                 "linear.so: expected a network with an output of 1×1×4, the simulator's output, received 2×1×4"));
  CHECK(contains(messageOf([&] { roll(Builder({1, 1, 4}).batchNorm().graph()); }), "no batch norm"));
}

TEST("rollouts stop when asked, and count what they allocate") {
  Rollouts rollouts(rowNetwork(), kernels(), simulators("linear"), std::to_string(kEntries));
  const Trajectories given(rollouts.graph(), 3, 5, RolloutLoss::Simulator);
  const std::vector<std::uint32_t> coordinates = every(rollouts.graph());
  const std::atomic<bool> stopped{true};
  Control control = threads(2);
  control.cancelled = &stopped;
  CHECK_THROWS(Cancelled, rollouts.coordinatewise(given.problem, along(coordinates, 1e-3, true), control));
  // Within a rollout too, and in the reference.
  const Plan plan(rollouts.graph());
  Weights weights(rollouts.graph(), plan);
  weights.widen();
  LaneRollout lanes(rollouts.graph(), plan, kernels(), rollouts.simulator(), 5, false);
  LaneTask task;
  CHECK(!lanes.run(given.problem, weights, &task, 1, control));
  CHECK_THROWS(Cancelled, rollouts.reference(given.problem, along(coordinates, 1e-3, true), control, nullptr));
  rollouts.release();
  const std::ptrdiff_t before = alignedBytes();
  rollouts.coordinatewise(given.problem, along(coordinates, 1e-3, true), threads(1));
  const std::ptrdiff_t taken = alignedBytes() - before;
  const auto counted =
      static_cast<std::ptrdiff_t>(rollouts.footprint(given.problem, along(coordinates, 1e-3, true), 1));
  CHECK(taken > 0 && counted >= taken && counted < 2 * taken + 100000);
}

}  // namespace deepzero::test
