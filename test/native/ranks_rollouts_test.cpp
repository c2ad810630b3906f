// Estimates over rollouts that ranks share, each rank a thread: the bits of one process, and what becomes of failures.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness.hpp"
#include "local_exchange.hpp"
#include "networks.hpp"
#include "ranks/commands/rollouts.hpp"
#include "ranks/leader.hpp"
#include "rollouts/rollouts.hpp"
#include "trajectories.hpp"

namespace deepzero::test {
namespace {

bool same(const RolloutEstimate& a, const RolloutEstimate& b) {
  return sameBits(a.values, b.values) && sameBits(a.loss, b.loss) && sameBits(a.outputs, b.outputs) &&
         a.queries == b.queries && a.failed == b.failed && a.missing == b.missing;
}

RandomizedOptions directions(std::size_t queries, double mu, bool central) {
  RandomizedOptions options;
  options.mu = mu;
  options.central = central;
  options.queries = queries;
  options.seed = 3;
  return options;
}

// The message of what a computation throws; empty if it throws nothing. `coordinate` receives that of a NonFinite.
template <typename Compute>
std::string messageOf(Compute compute, long long* coordinate = nullptr) {
  try {
    compute();
  } catch (const NonFinite& error) {
    if (coordinate != nullptr) *coordinate = error.coordinate;
    return error.what();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

// Puts one text in the place of an equally long one in what rank 1 receives.
Change replacing(std::string text, std::string by) {
  return [text = std::move(text), by = std::move(by)](int rank, std::vector<double>& numbers) {
    if (rank != 1) return;
    auto* const bytes = reinterpret_cast<char*>(numbers.data());
    auto* const end = bytes + numbers.size() * sizeof(double);
    for (char* at = bytes; (at = std::search(at, end, text.begin(), text.end())) != end;) {
      at = std::copy(by.begin(), by.end(), at);
    }
  };
}

// So many steps, and so many directions, that an estimate takes hours.
constexpr int kManySteps = 20000;
constexpr std::size_t kManyDirections = 200000;

// Two trajectories of a network of one weight and one bias whose first entry grows above 100, where the simulator
// fails, when the weight is moved up by 2.
struct Failing {
  Rollouts rollouts{Builder({1, 1, 2}).convolution(1, 1, 1, 1, 0, true).graph(), kernels(), simulators("linear"),
                    "2 fail"};
  Trajectories given;

  explicit Failing(int steps = 3) : given(rollouts.graph(), 2, steps, RolloutLoss::SquaredError, 2) {
    given.parameters = {0, 0};
    given.items = {1, 60, 1, 1, 2, 1};
    given.problem.parameters = given.parameters.data();
    given.problem.items = given.items.data();
  }
};

ISA_TEST("CGE of rollouts that ranks share has the bits of one process") {
  for (const char* name : {"linear", "corrects"}) {
    for (const int count : {1, 3, 17}) {
      for (const RolloutLoss loss : {RolloutLoss::SquaredError, RolloutLoss::Simulator}) {
        Rollouts rollouts(rowNetwork(), kernels(), simulators(name), std::to_string(kEntries));
        Trajectories given(rollouts.graph(), count, 4, loss);
        if (loss == RolloutLoss::Simulator && count == 1) given.problem.targets = nullptr;
        const std::vector<std::uint32_t> all = every(rollouts.graph()), few{7, 1};
        for (const int ranks : {1, 2, 3, 5, 17}) {
          withLeader(ranks, [&](Leader& leader) {
            for (const auto& coordinates : {all, few, {}}) {
              for (const bool central : {false, true}) {
                const CoordinatewiseOptions options = along(coordinates, 1e-3, central);
                const RolloutEstimate expected = rollouts.coordinatewise(given.problem, options, threads(2));
                CHECK(same(leader.coordinatewise(rollouts, given.problem, options, threads(1)), expected));
              }
            }
          });
        }
      }
    }
  }
}

TEST("RGE of rollouts that ranks share has the bits of one process, for every distribution") {
  Rollouts rollouts(rowNetwork(), kernels(), simulators("linear"), std::to_string(kEntries));
  for (const int count : {1, 8, 17}) {
    const Trajectories given(rollouts.graph(), count, 3, RolloutLoss::AbsoluteError);
    for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere, Distribution::Rademacher}) {
      for (const bool central : {false, true}) {
        RandomizedOptions options = directions(7, 1e-3, central);
        options.distribution = distribution;
        options.perTensor = central;
        const RolloutEstimate expected = rollouts.randomized(given.problem, options, threads(2));
        for (const int ranks : {1, 2, 3, 5, 17}) {
          withLeader(ranks, [&](Leader& leader) {
            CHECK(same(leader.randomized(rollouts, given.problem, options, threads(2)), expected));
          });
        }
      }
    }
  }
}

TEST("rollouts and networks take turns among ranks") {
  Rollouts first(rowNetwork(), kernels(), simulators("linear"), std::to_string(kEntries));
  Rollouts second(rowNetwork(), kernels(), simulators("corrects"), std::to_string(kEntries));
  const Trajectories given(first.graph(), 3, 4, RolloutLoss::SquaredError);
  const Example example(smallCnn(), 3);
  Engine engine(example.graph, kernels());
  const std::vector<std::uint32_t> all = every(first.graph()), few{0, 1, 2};
  const RolloutEstimate firstExpected = first.coordinatewise(given.problem, along(all, 1e-3, false), threads(1));
  const RolloutEstimate secondExpected = second.randomized(given.problem, directions(4, 1e-3, true), threads(1));
  const Estimate expected = coordinatewise(engine, example.problem(), along(few, 1e-3, false), threads(1));
  CHECK(!same(firstExpected, second.coordinatewise(given.problem, along(all, 1e-3, false), threads(1))));
  withLeader(3, [&](Leader& leader) {
    for (int turn = 0; turn < 2; ++turn) {
      CHECK(same(leader.coordinatewise(first, given.problem, along(all, 1e-3, false), threads(1)), firstExpected));
      CHECK(same(leader.randomized(second, given.problem, directions(4, 1e-3, true), threads(1)), secondExpected));
      const Estimate found = leader.coordinatewise(engine, example.problem(), along(few, 1e-3, false), threads(1));
      CHECK(sameBits(found.values, expected.values));
    }
  });
}

TEST("queries that fail on any rank are left out as on one process") {
  Failing failing;
  Rollouts& rollouts = failing.rollouts;
  const RolloutProblem& problem = failing.given.problem;
  const std::vector<std::uint32_t> both{0, 1}, weight{0};
  const RandomizedOptions some = directions(24, 0.5, false);
  for (const bool central : {false, true}) {
    const RolloutEstimate expected = rollouts.coordinatewise(problem, along(both, 2, central), threads(1));
    CHECK(expected.failed == 1);
    for (const int ranks : {2, 3, 5, 17}) {
      withLeader(ranks, [&](Leader& leader) {
        CHECK(same(leader.coordinatewise(rollouts, problem, along(both, 2, central), threads(1)), expected));
      });
    }
  }
  const RolloutEstimate expected = rollouts.randomized(problem, some, threads(1));
  CHECK(!expected.missing.empty() && expected.missing.back() > 12);
  for (const int ranks : {2, 3, 5, 17}) {
    withLeader(ranks, [&](Leader& leader) {
      CHECK(same(leader.randomized(rollouts, problem, some, threads(1)), expected));
      // Too many, which is an error that names the first.
      long long own = -2, found = -2;
      const RandomizedOptions wide = directions(24, 50, false);
      const std::string message = messageOf([&] { rollouts.randomized(problem, wide, threads(1)); }, &own);
      CHECK(messageOf([&] { leader.randomized(rollouts, problem, wide, threads(1)); }, &found) == message);
      CHECK(own >= 0 && found == own && message.find("of 24 queries fail, the first") != std::string::npos);
      CHECK(messageOf([&] { leader.coordinatewise(rollouts, problem, along(weight, 2, false), threads(1)); }, &found) ==
            "1 of 1 queries fail, the first");
      CHECK(found == 0);
    });
  }
}

TEST("the failure of an unperturbed trajectory is named, soon, and the ranks go on") {
  Failing failing(kManySteps);
  RolloutProblem& problem = failing.given.problem;
  std::vector<float> wrong = failing.given.items;
  const RolloutEstimate expected = failing.rollouts.randomized(problem, directions(4, 0.1, false), threads(1));
  for (const std::size_t trajectory : {0, 1}) {
    wrong = failing.given.items;
    wrong[3 * trajectory + 1] = 101;
    RolloutProblem lost = problem;
    lost.items = wrong.data();
    withLeader(3, [&](Leader& leader) {
      long long found = -2;
      const RandomizedOptions hours = directions(kManyDirections, 0.1, false);
      CHECK(messageOf([&] { leader.randomized(failing.rollouts, lost, hours, threads(1)); }, &found) ==
            "the simulator fails for trajectory " + std::to_string(trajectory) + " in its step 0");
      CHECK(found == -1);
      const RandomizedOptions few = directions(4, 0.1, false);
      CHECK(same(leader.randomized(failing.rollouts, problem, few, threads(1)), expected));
    });
  }
}

TEST("a rank whose simulator cannot be loaded, or is another one, is named in one line") {
  const std::string folder(SIMULATORS);
  Rollouts linear(rowNetwork(), kernels(), simulators("linear"), "9 lined");
  Rollouts corrects(rowNetwork(), kernels(), simulators("corrects"), std::to_string(kEntries));
  const Trajectories given(linear.graph(), 3, 4, RolloutLoss::SquaredError);
  const std::vector<std::uint32_t> coordinates = every(linear.graph());
  const auto failure = [&](Rollouts& rollouts, const Change& change) {
    std::string found[2];
    withLeader(
        3,
        [&](Leader& leader) {
          found[0] = messageOf(
              [&] { leader.coordinatewise(rollouts, given.problem, along(coordinates, 1e-3, true), threads(1)); });
          // The ranks are in step.
          found[1] =
              messageOf([&] { leader.randomized(rollouts, given.problem, directions(5, 1e-3, true), threads(1)); });
        },
        change);
    CHECK(found[0] == found[1]);
    return found[0];
  };
  const auto check = [&](const std::string& found, const std::string& expected) {
    if (found != expected) fail(__FILE__, __LINE__, found);
  };
  check(failure(linear, replacing("/linear.so", "/absent.so")),
        "rank 1 failed: " + folder +
            "/absent.so: cannot open shared object file: No such file or directory; expected a "
            "shared object, as cc -shared -fPIC makes");
  check(failure(corrects, replacing("/corrects.so", "/lossless.so")),
        "rank 1 failed: " + folder + "/lossless.so: expected the same file as on rank 0, found another one");
  check(failure(linear, replacing("9 lined", "9 lines")), "rank 1 failed: " + folder + "/linear.so: expected one line");
}

TEST("a rank whose simulator has other sizes than on rank 0 reads nothing") {
  Rollouts own(rowNetwork(), kernels(), simulators("linear"), std::to_string(kEntries));
  Rollouts other(Builder({1, 1, 4}).convolution(1, 1, 1, 1, 0, true).graph(), kernels(), simulators("linear"), "4");
  Rollouts lossless(rowNetwork(), kernels(), simulators("lossless"), std::to_string(kEntries));
  const Trajectories given(own.graph(), 3, 4, RolloutLoss::Simulator);
  MessageWriter message;
  put(message, own, given.problem);
  for (const Rollouts* const rollouts : {&other, &lossless}) {
    MessageReader reader(message.numbers());
    CHECK_THROWS(std::invalid_argument, takeProblem(reader, *rollouts));
  }
  MessageReader reader(message.numbers());
  CHECK(takeProblem(reader, own).targets[5] == given.targets[5]);
}

TEST("a rank whose rollouts have other bits is named") {
  Rollouts rollouts(rowNetwork(), kernels(), simulators("linear"), std::to_string(kEntries));
  const Trajectories given(rollouts.graph(), 3, 4, RolloutLoss::SquaredError);
  const std::vector<std::uint32_t> coordinates = every(rollouts.graph());
  const float other = given.items[1] + 1e-6F;
  const auto bytesOf = [](float value) { return std::string(reinterpret_cast<const char*>(&value), sizeof value); };
  withLeader(
      3,
      [&](Leader& leader) {
        const auto estimate = [&] {
          leader.coordinatewise(rollouts, given.problem, along(coordinates, 1e-3, true), threads(1));
        };
        CHECK(messageOf(estimate).find("rank 1 computes another unperturbed loss than rank 0") == 0);
      },
      replacing(bytesOf(given.items[1]), bytesOf(other)));
}

TEST("a stop reaches the rollouts of every rank, soon, and the ranks go on") {
  Rollouts rollouts(rowNetwork(), kernels(), simulators("linear"), std::to_string(kEntries));
  Trajectories given(rollouts.graph(), 3, kManySteps, RolloutLoss::SquaredError);
  // For states that decay.
  std::fill(given.parameters.begin(), given.parameters.end(), 0.0F);
  withLeader(3, [&](Leader& leader) {
    std::atomic<bool> cancelled{false};
    Control control = threads(1);
    control.cancelled = &cancelled;
    std::thread stopping([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      cancelled = true;
    });
    const RandomizedOptions hours = directions(kManyDirections, 1e-3, false), few = directions(4, 1e-3, false);
    CHECK_THROWS(Cancelled, leader.randomized(rollouts, given.problem, hours, control));
    stopping.join();
    CHECK(same(leader.randomized(rollouts, given.problem, few, threads(1)),
               rollouts.randomized(given.problem, few, threads(1))));
  });
}

TEST("progress counts the queries of all ranks' rollouts") {
  Rollouts rollouts(rowNetwork(), kernels(), simulators("linear"), std::to_string(kEntries));
  const Trajectories given(rollouts.graph(), 3, 4, RolloutLoss::SquaredError);
  const std::vector<std::uint32_t> coordinates = every(rollouts.graph());
  for (const int ranks : {1, 4}) {
    withLeader(ranks, [&](Leader& leader) {
      std::size_t most = 0;
      Control control = threads(1);
      control.progress = [&](std::size_t done, std::size_t total) {
        CHECK(total == coordinates.size() && done >= most && done <= total);
        most = done;
      };
      leader.coordinatewise(rollouts, given.problem, along(coordinates, 1e-3, true), control);
      CHECK(most == coordinates.size());
    });
  }
}

}  // namespace
}  // namespace deepzero::test
