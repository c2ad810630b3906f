// Ranks that do not answer, or with which nothing can be exchanged.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "harness.hpp"
#include "local_exchange.hpp"
#include "networks.hpp"
#include "ranks/waiting.hpp"

namespace deepzero::test {
namespace {

using Seconds = std::chrono::duration<double>;

TEST("a rank that never answers is given up, once and for all") {
  Meeting meeting(2);
  LocalExchange exchange(meeting, 0);
  Leader leader(exchange, std::chrono::duration<double>(0.05));
  const Example example(smallCnn(), 3);
  Engine engine(example.graph, kernels());
  const std::vector<std::uint32_t> few{0, 1};
  for (int turn = 0; turn < 2; ++turn) {
    std::string message;
    try {
      leader.coordinatewise(engine, example.problem(), along(few, Reuse::Incremental, false), threads(1));
    } catch (const RanksLost& error) {
      message = error.what();
    }
    CHECK(message.find(turn == 0 ? "have not answered for" : "are lost") != std::string::npos);
  }
  CHECK(leader.lost());
  leader.end();
}

TEST("the end waits until all ranks know of it") {
  Meeting meeting(2);
  LocalExchange exchange(meeting, 0);
  Leader leader(exchange, std::chrono::duration<double>(0.05));
  bool lost = false;
  try {
    leader.end();
  } catch (const RanksLost&) {
    lost = true;
  }
  CHECK(lost && leader.lost());
  leader.end();
}

// An exchange that fails with signals: rank 0 cannot send them, other ranks cannot receive them.
struct Broken : LocalExchange {
  using LocalExchange::LocalExchange;

  std::unique_ptr<Pending> broadcast(Channel channel, Numbers numbers) override {
    const auto fail = []() -> bool { throw RanksLost("MPI_Test failed: truncated"); };
    if (channel == Channel::Work) return LocalExchange::broadcast(channel, std::move(numbers));
    if (rank() == 0) fail();
    return std::make_unique<Asking>(fail);
  }
};

TEST("an error of MPI while threads compute ends the computation") {
  const Example example(smallCnn(), 3);
  const std::vector<std::uint32_t> all = example.allCoordinates();
  const auto isLost = [](const auto& compute) {
    try {
      compute();
    } catch (const RanksLost& error) {
      return std::string(error.what()) == "MPI_Test failed: truncated";
    }
    return false;
  };
  // On rank 0 when it calls off a command,
  Meeting meeting(2);
  Broken exchange(meeting, 0);
  Leader leader(exchange, kPatience);
  Engine engine(example.graph, kernels());
  std::atomic<bool> cancelled{false};
  Control control = threads(2);
  control.cancelled = &cancelled;
  control.progress = [&](std::size_t, std::size_t) { cancelled = true; };
  CHECK(isLost(
      [&] { leader.coordinatewise(engine, example.problem(), along(all, Reuse::Incremental, false), control); }));
  CHECK(leader.lost());
  // and on another rank when it asks whether to stop.
  bool lost = false;
  std::thread follower([&, &own = kernels()] {
    Broken others(meeting, 1);
    lost = isLost([&] { follow(others, own); });
  });
  follower.join();
  CHECK(lost);
}

TEST("a rank whose share is long is waited for, though rank 0's ended early at a loss that is not finite") {
  Meeting meeting(2);
  LocalExchange exchange(meeting, 0);
  Leader leader(exchange, Seconds(0.05));
  const Example example(smallCnn(), 3);
  const std::vector<std::uint32_t> all = example.allCoordinates();
  CoordinatewiseOptions options = along(all, Reuse::Incremental, false);
  options.mu = 1e38;
  Engine engine(example.graph, kernels());
  Control control = threads(1);
  // The first of many queries fails, after a twentieth of a second.
  control.progress = [](std::size_t, std::size_t) { std::this_thread::sleep_for(Seconds(0.05)); };
  std::thread late([&meeting, &own = kernels()] {
    std::this_thread::sleep_for(Seconds(0.3));
    LocalExchange others(meeting, 1);
    follow(others, own);
  });
  bool found = false;
  try {
    leader.coordinatewise(engine, example.problem(), options, control);
  } catch (const NonFinite&) {
    found = true;
  }
  CHECK(found);
  leader.end();
  late.join();
}

TEST("the time for which a process is suspended does not count as waiting") {
  int asked = 0;
  Asking pending([&] {
    std::this_thread::sleep_for(Seconds(asked == 0 ? 2.5 : 0));
    return ++asked > 2;
  });
  CHECK(waitFor(pending, Seconds(2)));
}

}  // namespace
}  // namespace deepzero::test
