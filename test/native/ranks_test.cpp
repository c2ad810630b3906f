// Estimates that ranks share, each rank a thread: the bits of one process, and what becomes of failures.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "estimators/estimators.hpp"
#include "estimators/query_work.hpp"
#include "harness.hpp"
#include "local_exchange.hpp"
#include "networks.hpp"
#include "ranks/commands/shares.hpp"
#include "ranks/follower.hpp"
#include "ranks/leader.hpp"
#include "ranks/waiting.hpp"

namespace deepzero::test {
namespace {

bool same(const Estimate& a, const Estimate& b) {
  return sameBits(a.values, b.values) && sameBits(a.loss, b.loss) && sameBits(a.outputs, b.outputs) &&
         sameBits(a.statistics, b.statistics) && a.queries == b.queries;
}

// Every third coordinate, in no order.
std::vector<std::uint32_t> someCoordinates(const Example& example) {
  std::vector<std::uint32_t> result;
  for (std::uint32_t i = 0; i < example.graph.parameterCount(); i += 3) result.push_back(i);
  std::reverse(result.begin(), result.end());
  std::rotate(result.begin(), result.begin() + result.size() / 3, result.end());
  return result;
}

ISA_TEST("CGE that ranks share has the bits of one process, for every reuse") {
  for (const Graph& graph : {smallResNet(), smallCnn()}) {
    const Example example(graph, 19);
    const std::vector<std::uint32_t> coordinates = someCoordinates(example);
    for (const Reuse reuse : {Reuse::None, Reuse::Block, Reuse::Layer, Reuse::Incremental}) {
      for (const bool central : {false, true}) {
        const CoordinatewiseOptions options = along(coordinates, reuse, central);
        Engine alone(graph, kernels()), engine(graph, kernels());
        const Estimate expected = coordinatewise(alone, example.problem(), options, threads(2));
        for (const int ranks : {2, 3}) {
          withLeader(ranks, [&](Leader& leader) {
            for (const int count : {1, 2}) {
              CHECK(same(leader.coordinatewise(engine, example.problem(), options, threads(count)), expected));
            }
          });
        }
      }
    }
  }
}

TEST("ranks without a query take part, and more ranks change no bit") {
  const Example example(smallCnn(), 17);
  const std::vector<std::uint32_t> few{40, 2, 7}, some = someCoordinates(example);
  for (const std::vector<std::uint32_t>& coordinates : {few, some}) {
    const CoordinatewiseOptions options = along(coordinates, Reuse::Incremental, false);
    Engine alone(example.graph, kernels()), engine(example.graph, kernels());
    const Estimate expected = coordinatewise(alone, example.problem(), options, threads(1));
    for (const int ranks : {1, 5, 17}) {
      withLeader(ranks, [&](Leader& leader) {
        CHECK(same(leader.coordinatewise(engine, example.problem(), options, threads(1)), expected));
      });
    }
  }
}

TEST("RGE that ranks share has the bits of one process, for every distribution") {
  // More parameters than are summed at once.
  const Graph wide = Builder({2, 8, 8})
                         .convolution(40, 3, 1, 1, 0, true)
                         .relu()
                         .convolution(40, 3, 1, 1, 0, false)
                         .flatten()
                         .linear(3, true)
                         .graph();
  for (const Graph& graph : {smallResNet(), wide}) {
    const Example example(graph, 5);
    for (const Distribution distribution : {Distribution::Gaussian, Distribution::Sphere, Distribution::Rademacher}) {
      for (const Reuse reuse : {Reuse::None, Reuse::Incremental}) {
        RandomizedOptions options;
        options.mu = 5e-3;
        options.central = reuse == Reuse::None;
        options.reuse = reuse;
        options.queries = 4;
        options.distribution = distribution;
        options.perTensor = distribution == Distribution::Sphere;
        options.seed = 3;
        Engine alone(graph, kernels()), engine(graph, kernels());
        const Estimate expected = randomized(alone, example.problem(), options, threads(2));
        for (const int ranks : {1, 3, 6}) {
          withLeader(ranks, [&](Leader& leader) {
            CHECK(same(leader.randomized(engine, example.problem(), options, threads(1)), expected));
          });
        }
      }
    }
  }
}

TEST("networks take turns, and losses with targets travel") {
  const Example first(smallCnn(), 3);
  Example second(Builder({5, 1, 1}).linear(2, true).graph(), 4);
  second.loss = Loss::MeanSquaredError;
  Engine firstEngine(first.graph, kernels()), secondEngine(second.graph, kernels());
  const std::vector<std::uint32_t> firstAll = someCoordinates(first), secondAll = second.allCoordinates();
  const auto firstOptions = along(firstAll, Reuse::Incremental, false);
  const auto secondOptions = along(secondAll, Reuse::Layer, true);
  const Estimate firstExpected = coordinatewise(firstEngine, first.problem(), firstOptions, threads(1));
  const Estimate secondExpected = coordinatewise(secondEngine, second.problem(), secondOptions, threads(1));
  withLeader(3, [&](Leader& leader) {
    for (int turn = 0; turn < 2; ++turn) {
      CHECK(same(leader.coordinatewise(firstEngine, first.problem(), firstOptions, threads(1)), firstExpected));
      CHECK(same(leader.coordinatewise(secondEngine, second.problem(), secondOptions, threads(1)), secondExpected));
    }
  });
}

// The coordinate of the NonFinite that a computation throws; −2 for none.
template <typename Compute>
long long failureOf(Compute compute) {
  try {
    compute();
  } catch (const NonFinite& error) {
    return error.coordinate;
  }
  return -2;
}

TEST("a loss that is not finite is that of the query which one process names, and the ranks go on") {
  Example example(smallCnn(), 3);
  const std::vector<std::uint32_t> all = example.allCoordinates();
  CoordinatewiseOptions options = along(all, Reuse::Incremental, false);
  options.mu = 1e38;
  Engine engine(example.graph, kernels());
  const long long expected = failureOf([&] { coordinatewise(engine, example.problem(), options, threads(1)); });
  CHECK(expected >= 0);
  RandomizedOptions directions;
  directions.mu = 1e38;
  directions.queries = 5;
  for (const int ranks : {2, 5}) {
    withLeader(ranks, [&](Leader& leader) {
      CHECK(failureOf([&] { leader.coordinatewise(engine, example.problem(), options, threads(1)); }) == expected);
      CHECK(failureOf([&] { leader.randomized(engine, example.problem(), directions, threads(1)); }) == 0);
      Example wrong = example;
      wrong.images[3] = std::numeric_limits<float>::quiet_NaN();
      CHECK(failureOf([&] { leader.coordinatewise(engine, wrong.problem(), options, threads(1)); }) == -1);
      const CoordinatewiseOptions small = along(all, Reuse::Incremental, false);
      Engine alone(example.graph, kernels());
      CHECK(same(leader.coordinatewise(engine, example.problem(), small, threads(1)),
                 coordinatewise(alone, example.problem(), small, threads(1))));
    });
  }
}

TEST("a stop reaches every rank, soon, and the ranks go on") {
  const Example example(smallResNet(), 64);
  Engine engine(example.graph, kernels());
  RandomizedOptions options;
  options.mu = 5e-3;
  options.queries = 2000000;  // hours
  withLeader(3, [&](Leader& leader) {
    std::atomic<bool> cancelled{false};
    Control control = threads(1);
    control.cancelled = &cancelled;
    std::thread stopping([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      cancelled = true;
    });
    bool stopped = false;
    try {
      leader.randomized(engine, example.problem(), options, control);
    } catch (const Cancelled&) {
      stopped = true;
    }
    stopping.join();
    CHECK(stopped);
    const std::vector<std::uint32_t> few{0, 1, 2};
    const auto some = along(few, Reuse::Incremental, false);
    Engine alone(example.graph, kernels());
    CHECK(same(leader.coordinatewise(engine, example.problem(), some, threads(1)),
               coordinatewise(alone, example.problem(), some, threads(1))));
  });
}

TEST("progress counts the queries of all ranks") {
  const Example example(smallCnn(), 3);
  Engine engine(example.graph, kernels());
  const std::vector<std::uint32_t> all = example.allCoordinates();
  withLeader(4, [&](Leader& leader) {
    std::size_t most = 0;
    Control control = threads(1);
    control.progress = [&](std::size_t done, std::size_t total) {
      CHECK(total == all.size() && done > most && done <= total);
      most = done;
    };
    leader.coordinatewise(engine, example.problem(), along(all, Reuse::Incremental, false), control);
    CHECK(most == all.size());
  });
}

TEST("a rank that cannot even read a command is named, and the ranks go on") {
  const Example example(smallCnn(), 3);
  Engine engine(example.graph, kernels()), alone(example.graph, kernels());
  const std::vector<std::uint32_t> few{0, 1, 2};
  const auto options = along(few, Reuse::Incremental, false);
  const Estimate expected = coordinatewise(alone, example.problem(), options, threads(1));
  int received = 0;
  const auto change = [&](int rank, std::vector<double>& numbers) {
    // The first message's network begins with the extents of its input.
    if (rank == 2 && numbers.size() > 100 && ++received == 1) numbers[0] = 0;
  };
  withLeader(
      3,
      [&](Leader& leader) {
        std::string message;
        try {
          leader.coordinatewise(engine, example.problem(), options, threads(1));
        } catch (const std::runtime_error& error) {
          message = error.what();
        }
        CHECK(message.find("rank 2 failed: ") == 0);
        CHECK(same(leader.coordinatewise(engine, example.problem(), options, threads(1)), expected));
      },
      change);
}

TEST("a stop waits for nobody, and the rank that was late goes on from there") {
  Meeting meeting(2);
  LocalExchange exchange(meeting, 0);
  Leader leader(exchange, kPatience);
  const Example example(smallCnn(), 3);
  Engine engine(example.graph, kernels()), alone(example.graph, kernels());
  const std::vector<std::uint32_t> few{0, 1, 2};
  const auto options = along(few, Reuse::Incremental, false);
  const std::atomic<bool> cancelled{true};
  Control control = threads(1);
  control.cancelled = &cancelled;
  const auto isStopped = [&] {
    try {
      leader.coordinatewise(engine, example.problem(), options, control);
    } catch (const Cancelled&) {
      return true;
    }
    return false;
  };
  CHECK(isStopped());
  std::thread late([&meeting, &own = kernels()] {
    LocalExchange exchange(meeting, 1);
    follow(exchange, own);
  });
  CHECK(isStopped());
  CHECK(same(leader.coordinatewise(engine, example.problem(), options, threads(1)),
             coordinatewise(alone, example.problem(), options, threads(1))));
  leader.end();
  late.join();
}

// An exchange whose rank 1 answers with something of its own.
struct Lying : LocalExchange {
  using LocalExchange::LocalExchange;
  Outcome lie;

  std::unique_ptr<Pending> gather(Numbers mine, const std::vector<std::size_t>& counts, Numbers all) override {
    MessageWriter told;
    told.put(lie);
    // The answer to the end is shorter.
    if (mine->size() > 1) std::copy(told.numbers().begin(), told.numbers().end(), mine->begin());
    return LocalExchange::gather(mine, counts, all);
  }
};

TEST("a rank that fails, or computes another loss, is named") {
  const Example example(smallCnn(), 3);
  Engine engine(example.graph, kernels());
  const std::vector<std::uint32_t> few{0, 1, 2};
  Outcome failed, other;
  failed.status = Status::Failed;
  std::strncpy(failed.reason, "no memory", sizeof failed.reason - 1);
  other.digest = 1;
  for (const auto& [lie, expected] :
       {std::pair(failed, "rank 1 failed: no memory"), std::pair(other, "rank 1 computes another unperturbed loss")}) {
    Meeting meeting(2);
    std::thread liar([&meeting, lie = lie, &own = kernels()] {
      Lying exchange(meeting, 1);
      exchange.lie = lie;
      follow(exchange, own);
    });
    LocalExchange exchange(meeting, 0);
    Leader leader(exchange, kPatience);
    std::string message;
    try {
      leader.coordinatewise(engine, example.problem(), along(few, Reuse::Incremental, false), threads(1));
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CHECK(message.find(expected) == 0);
    leader.end();
    liar.join();
  }
}

TEST("shares are every place once, in the order of coordinates, of about equal cost") {
  const Example example(smallResNet(), 1);
  const Engine engine(example.graph, kernels());
  const std::vector<std::uint32_t> coordinates = someCoordinates(example);
  const CoordinatewiseOptions options = along(coordinates, Reuse::Layer, false);
  const std::vector<double> costs = tensorCosts(engine, options.reuse);
  for (const int ranks : {1, 2, 3, 7, 64, 5000}) {
    const auto shares = sharesOf(engine, options, ranks);
    CHECK(static_cast<int>(shares.size()) == ranks);
    std::vector<std::size_t> places;
    std::vector<double> loads;
    for (const auto& share : shares) {
      double load = 0;
      for (std::size_t i = 0; i < share.size(); ++i) {
        CHECK(i == 0 || coordinates[share[i - 1]] < coordinates[share[i]]);
        load += costs[example.graph.parameterAt(coordinates[share[i]])];
      }
      places.insert(places.end(), share.begin(), share.end());
      loads.push_back(load);
    }
    std::sort(places.begin(), places.end());
    std::vector<std::size_t> every(coordinates.size());
    std::iota(every.begin(), every.end(), 0);
    CHECK(places == every);
    const auto [least, most] = std::minmax_element(loads.begin(), loads.end());
    CHECK(*most - *least <= *std::max_element(costs.begin(), costs.end()));
    std::size_t next = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const Range range = rangeOf(coordinates.size(), rank, ranks);
      CHECK(range.first == next);
      next += range.count;
    }
    CHECK(next == coordinates.size());
  }
}

}  // namespace
}  // namespace deepzero::test
