// Ranks that are threads of one process.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "estimators/estimators.hpp"
#include "harness.hpp"
#include "ranks/exchange.hpp"
#include "ranks/follower.hpp"
#include "ranks/leader.hpp"

namespace deepzero::test {

// What threads share that are ranks of each other.
struct Meeting {
  struct Operation {
    Numbers sent;                // of rank 0
    std::vector<Numbers> parts;  // by rank
  };
  explicit Meeting(int count) : ranks(count), started(count, std::vector<std::size_t>(3)) {}

  std::mutex mutex;
  const int ranks;
  std::vector<std::vector<std::size_t>> started;  // by rank: operations on each channel, and gathers
  std::vector<Operation> broadcasts[2], gathers;

  Operation& at(std::vector<Operation>& operations, std::size_t index) {
    if (operations.size() <= index) operations.resize(index + 1);
    operations[index].parts.resize(ranks);
    return operations[index];
  }
};

class Asking : public Pending {
 public:
  explicit Asking(std::function<bool()> ask) : ask_(std::move(ask)) {}
  bool done() override { return done_ = done_ || ask_(); }

 private:
  std::function<bool()> ask_;
  bool done_ = false;
};

// Changes what another rank than 0 receives.
using Change = std::function<void(int rank, std::vector<double>& numbers)>;

class LocalExchange : public Exchange {
 public:
  LocalExchange(Meeting& meeting, int rank, Change change = nullptr)
      : meeting_(meeting), rank_(rank), change_(std::move(change)) {}
  int rank() const override { return rank_; }
  int count() const override { return meeting_.ranks; }

  std::unique_ptr<Pending> broadcast(Channel channel, Numbers numbers) override {
    const std::lock_guard<std::mutex> lock(meeting_.mutex);
    const int which = static_cast<int>(channel);
    const std::size_t index = meeting_.started[rank_][which]++;
    if (rank_ == 0) {
      meeting_.at(meeting_.broadcasts[which], index).sent = std::make_shared<std::vector<double>>(*numbers);
      return std::make_unique<Asking>([] { return true; });
    }
    return std::make_unique<Asking>([this, which, index, numbers] {
      const std::lock_guard<std::mutex> lock(meeting_.mutex);
      const Numbers& sent = meeting_.at(meeting_.broadcasts[which], index).sent;
      if (!sent) return false;
      if (sent->size() != numbers->size()) throw std::logic_error("a broadcast of another length");
      std::copy(sent->begin(), sent->end(), numbers->begin());
      if (change_) change_(rank_, *numbers);
      return true;
    });
  }

  std::unique_ptr<Pending> gather(Numbers mine, const std::vector<std::size_t>& counts, Numbers all) override {
    const std::lock_guard<std::mutex> lock(meeting_.mutex);
    const std::size_t index = meeting_.started[rank_][2]++;
    meeting_.at(meeting_.gathers, index).parts[rank_] = mine;
    if (rank_ != 0) return std::make_unique<Asking>([] { return true; });
    return std::make_unique<Asking>([this, index, counts, all] {
      const std::lock_guard<std::mutex> lock(meeting_.mutex);
      const std::vector<Numbers>& parts = meeting_.at(meeting_.gathers, index).parts;
      if (!std::all_of(parts.begin(), parts.end(), [](const Numbers& part) { return part != nullptr; })) return false;
      auto to = all->begin();
      for (std::size_t rank = 0; rank < parts.size(); ++rank) {
        if (parts[rank]->size() != counts[rank]) throw std::logic_error("a part of another length");
        to = std::copy(parts[rank]->begin(), parts[rank]->end(), to);
      }
      return true;
    });
  }

 private:
  Meeting& meeting_;
  int rank_;
  Change change_;
};

inline CoordinatewiseOptions along(const std::vector<std::uint32_t>& coordinates, Reuse reuse, bool central) {
  CoordinatewiseOptions options;
  options.mu = 5e-3;
  options.central = central;
  options.reuse = reuse;
  options.coordinates = coordinates.data();
  options.count = coordinates.size();
  return options;
}

inline constexpr std::chrono::duration<double> kPatience(60);

// Leads `count` ranks while `use` runs.
inline void withLeader(int count, const std::function<void(Leader&)>& use, const Change& change = nullptr) {
  Meeting meeting(count);
  const Kernels& own = kernels();
  std::vector<std::thread> followers;
  for (int rank = 1; rank < count; ++rank) {
    followers.emplace_back([&meeting, &own, &change, rank] {
      LocalExchange exchange(meeting, rank, change);
      follow(exchange, own);
    });
  }
  LocalExchange exchange(meeting, 0);
  Leader leader(exchange, kPatience);
  std::exception_ptr thrown;
  try {
    use(leader);
  } catch (...) {
    thrown = std::current_exception();
  }
  leader.end();
  for (std::thread& follower : followers) follower.join();
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace deepzero::test
